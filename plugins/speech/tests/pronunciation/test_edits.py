"""Replaced, omitted and inserted phones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loqua_speech.pronunciation.edits import edit

phones = st.lists(st.integers(0, 3), max_size=8)


def test_each_edit_is_named() -> None:
    """One of the second and third phones replaced, one left out, one put in at the end."""
    edits = edit(np.array([1, 2, 3, 4, 5]), np.array([1, 9, 4, 5, 6]))

    assert list(edits.operations) in ([0, 1, 2, 0, 0], [0, 2, 1, 0, 0])
    assert list(edits.insertions) == [0, 0, 0, 0, 0, 1]
    assert edits.distance == 3


@given(expected=phones, heard=phones)
def test_the_edits_add_up(expected: list[int], heard: list[int]) -> None:
    """They lead from one length to the other, and are no fewer than the distance."""
    edits = edit(np.array(expected, np.int64), np.array(heard, np.int64))
    omitted = int((edits.operations == 2).sum())

    assert len(expected) - omitted + edits.insertions.sum() == len(heard)
    assert (edits.operations > 0).sum() + edits.insertions.sum() == edits.distance
    assert abs(len(expected) - len(heard)) <= edits.distance <= max(len(expected), len(heard))
