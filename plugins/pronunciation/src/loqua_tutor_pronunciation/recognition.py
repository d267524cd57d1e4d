"""Which words of a sentence a speech recogniser understood.

That is no measure of pronunciation: a recogniser repairs slips, and may fail on a word that a
person understands. It says whether the sentence was said; `scoring` listens to the sound.
"""

import re
import unicodedata
from dataclasses import dataclass

__all__ = ["RecognisedWord", "compare"]


@dataclass(frozen=True, slots=True)
class RecognisedWord:
    """A word of the exercise as written there, and whether it was recognised."""

    text: str
    recognised: bool


def compare(expected: str, heard: str) -> tuple[RecognisedWord, ...]:
    """Return of each word of `expected` whether it was recognised in `heard`.

    The texts are aligned by the fewest words to replace, add or leave out; case, accents and
    punctuation don't count.
    """
    words = _words(expected)
    matched = _matches([_plain(word) for word in words], [_plain(word) for word in _words(heard)])
    return tuple(RecognisedWord(word, index in matched) for index, word in enumerate(words))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.replace("’", "'"))  # noqa: RUF001


def _plain(word: str) -> str:
    letters = unicodedata.normalize("NFD", word.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _matches(expected: list[str], heard: list[str]) -> set[int]:
    """Indexes of the expected words that stay as they are in a shortest edit."""
    costs = _edit_costs(expected, heard)
    row, column, matched = 0, 0, set[int]()
    while row < len(expected) and column < len(heard):
        same = expected[row] == heard[column]
        if costs[row][column] == costs[row + 1][column + 1] + (not same):
            matched |= {row} if same else set()
            row, column = row + 1, column + 1
        elif costs[row][column] == costs[row + 1][column] + 1:
            row += 1
        else:
            column += 1
    return matched


def _edit_costs(expected: list[str], heard: list[str]) -> list[list[int]]:
    """Levenshtein distances between the rest of one list and the rest of the other."""
    rows, columns = len(expected), len(heard)
    costs = [
        [rows - row + columns - column for column in range(columns + 1)] for row in range(rows + 1)
    ]
    for row in reversed(range(rows)):
        for column in reversed(range(columns)):
            replaced = costs[row + 1][column + 1] + (expected[row] != heard[column])
            costs[row][column] = min(
                replaced, costs[row + 1][column] + 1, costs[row][column + 1] + 1
            )
    return costs
