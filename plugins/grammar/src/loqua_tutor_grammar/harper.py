"""Harper as an engine for English, if the extra `harper` is installed."""

import asyncio
import importlib.util
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from .correction import GrammarCorrection, sounds_alike

if TYPE_CHECKING:
    import harper

__all__ = ["HarperEngine", "is_installed"]

# Harper's kinds of findings that are of use for what was said, not written, as category, point of
# grammar and key of messages.toml. Its other kinds (spelling, punctuation, style, …) are dropped:
# they raised false positives on right sentences from 3 to 16 in a hundred.
_KINDS = {
    "Agreement": ("agreement", "subject_verb_agreement", "agreement_english"),
    "Grammar": ("grammar", "sentence_structure", "usage"),
    "Usage": ("usage", "sentence_structure", "usage"),
    "Nonstandard": ("usage", "sentence_structure", "usage"),
    "Malapropism": ("words", "word_choice", "word_choice"),
    "Eggcorn": ("words", "word_choice", "word_choice"),
    "Redundancy": ("usage", "sentence_structure", "usage"),
}

_HOMOPHONES = (
    {"there", "their", "they're"}, {"to", "too", "two"}, {"your", "you're"}, {"whose", "who's"},
    {"affect", "effect"}, {"then", "than"},
)  # fmt: skip


def is_installed() -> bool:
    """Return whether the package `harper-py` is there."""
    return importlib.util.find_spec("harper") is not None


class HarperEngine:
    """Harper in this process; its dictionary takes 0.7 s and 160 MB at the first sentence."""

    def __init__(self) -> None:
        self._one_at_a_time = asyncio.Lock()

    def _lint(self, text: str) -> "list[harper.Lint]":
        return self._linter.lint(text, language="plaintext")

    @cached_property
    def _linter(self) -> "harper.Linter":
        import harper  # noqa: PLC0415  an extra, and heavy

        return harper.Linter()

    async def find(self, text: str, language: str) -> Sequence[GrammarCorrection]:
        """Return what Harper finds in English; nothing in other languages."""
        if language != "en":
            return ()
        async with self._one_at_a_time:  # a linter is not for several threads
            lints = await asyncio.to_thread(self._lint, text)
        found = (_correction(lint, text) for lint in lints if lint.lint_kind in _KINDS)
        return tuple(each for each in found if each is not None)


def _correction(lint: "harper.Lint", text: str) -> GrammarCorrection | None:
    start, end = lint.span.start, lint.span.end
    replacements = tuple(
        filter(None, (_replacement(each, text[start:end]) for each in lint.suggestions))
    )
    if not replacements and lint.suggestions:  # it removes the words
        end += text[end : end + 1] == " "
        replacements = ("",)
    if not replacements or _are_homophones(replacements[0], text[start:end]):
        return None
    category, point, message = _KINDS[lint.lint_kind]
    return GrammarCorrection(
        start=start,
        end=end,
        message=message,
        category=category,
        grammar_point=point,
        replacements=replacements,
        severity="error",
        source="harper",
        rule_id=lint.lint_kind,
        confidence=0.8,
    )


def _are_homophones(one: str, other: str) -> bool:
    return sounds_alike(one, other) or any({one, other} <= sounds for sounds in _HOMOPHONES)


def _replacement(suggestion: "harper.Suggestion", said: str) -> str:
    inserts = suggestion.kind.name == "INSERT_AFTER"
    return said + suggestion.replacement_text if inserts else suggestion.replacement_text
