"""Corrections of a sentence, and the merging of several engines' corrections."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

import loqua_host

__all__ = [
    "GrammarCorrection",
    "Severity",
    "correct_text",
    "merge_corrections",
    "present",
    "sounds_alike",
]

Severity = Literal["error", "hint"]


@dataclass(frozen=True, slots=True)
class GrammarCorrection:
    """A mistake in a text, and its correction.

    Attributes:
        start: Where the wrong part begins, as an index into the text.
        end: Where it ends, exclusive.
        message: Why, as a key of `messages.toml`.
        category: The part of grammar (`agreement`, `articles`, `verbs`, …).
        grammar_point: The topic in the API's style (`subject_verb_agreement`).
        replacements: What to say instead, best first; never empty.
        severity: `error`, or `hint` for what is unusual rather than wrong.
        source: The engine that found it (`rules`, `harper`, `languagetool`, `llm`).
        rule_id: The engine's rule.
        confidence: How often such a finding is right, from 0 to 1.
    """

    start: int
    end: int
    message: str
    category: str
    grammar_point: str
    replacements: tuple[str, ...]
    severity: Severity
    source: str
    rule_id: str
    confidence: float

    def overlaps(self, other: "GrammarCorrection") -> bool:
        """Return whether both are about the same part of the text."""
        return self.start < other.end and other.start < self.end


def merge_corrections(found: Iterable[GrammarCorrection]) -> list[GrammarCorrection]:
    """Return corrections that don't overlap, in the order of the text.

    Args:
        found: Findings; where two overlap, the earlier one stays. A later one with the same span
            adds its replacements.
    """
    kept: list[GrammarCorrection] = []
    for each in found:
        rival = next((i for i, other in enumerate(kept) if each.overlaps(other)), None)
        if rival is None:
            kept.append(each)
        elif (kept[rival].start, kept[rival].end) == (each.start, each.end):
            both = dict.fromkeys(kept[rival].replacements + each.replacements)
            kept[rival] = replace(kept[rival], replacements=tuple(both))
    return sorted(kept, key=lambda each: each.start)


def correct_text(text: str, corrections: Iterable[GrammarCorrection]) -> str:
    """Return the text with the best replacement of each correction."""
    for each in sorted(corrections, key=lambda each: each.start, reverse=True):
        text = text[: each.start] + each.replacements[0] + text[each.end :]
    return text


def present(found: GrammarCorrection, text: str, why: str) -> loqua_host.Correction:
    """Return a correction as the learner's page shows it.

    Args:
        found: The correction.
        text: The text it is about.
        why: The rule, in words for the learner.
    """
    return loqua_host.Correction(
        text=text,
        start=found.start,
        end=found.end,
        corrected=found.replacements[0],
        rule=found.grammar_point,
        message=why,
    )


def sounds_alike(one: str, other: str) -> bool:
    """Return whether two spellings differ in case, accents, spaces or punctuation only.

    In what was heard, such a difference is the recogniser's.
    """
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    letters = unicodedata.normalize("NFD", text.casefold())
    return "".join(letter for letter in letters if letter.isalnum())
