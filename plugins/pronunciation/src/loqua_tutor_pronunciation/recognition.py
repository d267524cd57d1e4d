"""Recognised and missed words of a sentence, from a transcript.

That is no measure of pronunciation: a recogniser repairs slips, and may fail on a word that a
person understands. It says whether the sentence was said; `scoring` listens to the sound.
"""

import re
import unicodedata
from dataclasses import dataclass
from difflib import SequenceMatcher

__all__ = ["RecognisedWord", "compare", "plain_words"]


@dataclass(frozen=True, slots=True)
class RecognisedWord:
    """A word of the exercise as written there, and whether it was recognised."""

    text: str
    recognised: bool


def compare(expected: str, heard: str) -> tuple[RecognisedWord, ...]:
    """Return of each word of `expected` whether it was recognised in `heard`.

    The texts are aligned by their longest common runs of words; case, accents and punctuation don't
    count.
    """
    words = _words(expected)
    matched = _matches([_plain(word) for word in words], plain_words(heard))
    return tuple(RecognisedWord(word, index in matched) for index, word in enumerate(words))


def plain_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without accents."""
    return [_plain(word) for word in _words(text)]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.replace("’", "'"))  # noqa: RUF001


def _plain(word: str) -> str:
    letters = unicodedata.normalize("NFD", word.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _matches(expected: list[str], heard: list[str]) -> set[int]:
    """Return the indexes of the expected words that were heard, in their order."""
    blocks = SequenceMatcher(None, expected, heard, autojunk=False).get_matching_blocks()
    return {index for it in blocks for index in range(it.a, it.a + it.size)}
