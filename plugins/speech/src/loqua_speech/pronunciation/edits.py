"""The shortest edit script from the expected phones to the spoken ones."""

from dataclasses import dataclass

import numpy as np

from loqua_speech.pronunciation.phones import IntArray

__all__ = ["Edits", "edit"]


@dataclass(frozen=True, slots=True)
class Edits:
    """A shortest edit.

    Attributes:
        operations: Of each phone expected: 0 as it is, 1 replaced, 2 left out.
        insertions: How many phones are heard before each one expected, and after the last.
        distance: Number of edits.
        heard: Number of phones heard.
    """

    operations: IntArray
    insertions: IntArray
    distance: int
    heard: int


def edit(expected: IntArray, heard: IntArray) -> Edits:
    """Return a shortest edit that turns the phones expected into those heard."""
    costs = _costs(expected, heard)
    operations = np.zeros(len(expected), np.int64)
    insertions = np.zeros(len(expected) + 1, np.int64)
    row, column = len(expected), len(heard)
    while row or column:
        differs = row and column and int(expected[row - 1] != heard[column - 1])
        if row and column and costs[row, column] == costs[row - 1, column - 1] + differs:
            operations[row - 1] = differs
            row, column = row - 1, column - 1
        elif row and costs[row, column] == costs[row - 1, column] + 1:
            operations[row - 1] = 2
            row -= 1
        else:
            insertions[row] += 1
            column -= 1
    return Edits(operations, insertions, int(costs[-1, -1]), len(heard))


def _costs(expected: IntArray, heard: IntArray) -> IntArray:
    columns = np.arange(len(heard) + 1)
    costs = np.zeros((len(expected) + 1, len(heard) + 1), np.int64)
    costs[0] = columns
    for row, phone in enumerate(expected, start=1):
        above = costs[row - 1]
        direct = np.append(row, np.minimum(above[1:] + 1, above[:-1] + (heard != phone)))
        # Insertions run along the row: the least of what is reached directly, and one more each.
        costs[row] = np.minimum.accumulate(direct - columns) + columns
    return costs
