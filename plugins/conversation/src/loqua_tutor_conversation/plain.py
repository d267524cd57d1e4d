"""Texts as they are compared: recognisers are unsure of accents and punctuation."""

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["has_any", "plain"]


def plain(text: str) -> str:
    """Lower case, without accents and punctuation."""
    letters = unicodedata.normalize("NFD", text.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W_]+", bare))


def has_any(phrases: Iterable[str], said: str) -> bool:
    """Whether any of the phrases is in a plain text."""
    return any(f" {plain(phrase)} " in f" {said} " for phrase in phrases)
