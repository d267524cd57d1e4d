"""Normalisation of texts for comparison, because recognisers vary in accents and punctuation."""

import re
import unicodedata
from collections.abc import Collection, Iterable
from functools import cache

__all__ = ["find_phrase", "has_any", "has_any_form", "plain", "tokens"]


def plain(text: str) -> str:
    """Return a text in lower case, without accents and punctuation."""
    letters = unicodedata.normalize("NFD", text.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return " ".join(tokens(bare))


def tokens(text: str) -> list[str]:
    """Return the words of a text, as they are written."""
    return re.findall(r"[^\W_]+", text)


def has_any(phrases: Iterable[str], said: str) -> bool:
    """Return whether any of the phrases is in a plain text, as whole words."""
    return any(f" {plain(phrase)} " in f" {said} " for phrase in phrases)


def has_any_form(phrases: Collection[str], text: str) -> bool:
    """Return whether any of the phrases is in a text, where `*` is the beginning of a word.

    In phrases with one, accents count: `*aría` is in "viajaría", not in "necesaria". A beginning
    has three letters or more: `i *ed` is in "I worked", not in "I need".
    """
    whole, forms = ([it for it in phrases if ("*" in it) is is_form] for is_form in (False, True))
    said = " ".join(tokens(text.casefold()))
    return has_any(whole, plain(text)) or any(re.search(_forms(it), said) for it in forms)


@cache
def _forms(phrase: str) -> re.Pattern[str]:
    words = re.findall(r"[^\W_]+|\*[^\W_]+", phrase.casefold())
    return re.compile(rf"\b{' '.join(words)}\b".replace("*", r"[^\W_]{3,}"))


def find_phrase(phrase: str, text: str) -> tuple[int, int] | None:
    """Return where a phrase begins and ends in a text, compared as plain texts; None if nowhere."""
    words = list(re.finditer(r"[^\W_]+", text))
    length, wanted = len(tokens(phrase)), plain(phrase)
    for first in range(len(words) - length + 1 if wanted else 0):
        start, end = words[first].start(), words[first + length - 1].end()
        if plain(text[start:end]) == wanted:
            return start, end
    return None
