"""The grammar check: from a sentence to its corrections."""

import tomllib
from functools import cache
from importlib.resources import files

from . import english, spanish
from .correction import Correction, apply_rules

__all__ = ["LANGUAGES", "check", "corrected", "explain"]

_RULES = {"en": english.RULES, "es": spanish.RULES}

LANGUAGES = tuple(_RULES)
"""The languages that can be checked."""


def check(text: str, language: str) -> list[Correction]:
    """Find mistakes in a sentence, in the order of the text; they don't overlap.

    What is found is nearly always wrong; much that is wrong is not found.

    Args:
        text: What somebody wrote, or a recogniser heard.
        language: ISO 639-1; nothing is found in a language without rules.
    """
    return apply_rules(_RULES.get(language, ()), text)


def corrected(text: str, corrections: list[Correction]) -> str:
    """The text with the best replacement of each correction."""
    for correction in reversed(corrections):
        text = text[: correction.start] + correction.replacements[0] + text[correction.end :]
    return text


def explain(message: str, language: str | None) -> str:
    """Why, in a sentence of the language (`spanish`); in English where there is none."""
    texts = _messages()[message]
    return texts.get(language or "") or texts["english"]


@cache
def _messages() -> dict[str, dict[str, str]]:
    return tomllib.loads(files(__package__).joinpath("messages.toml").read_text("utf-8"))
