"""Retries of calls."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.core import retry
from loqua_host.errors import SuspendedError, UnreachableError


@given(attempt=st.integers(1, 40), first=st.floats(0.01, 8), seed=st.integers())
def test_a_pause_is_jittered_below_an_exponential_ceiling(
    attempt: int, first: float, seed: int
) -> None:
    """It doubles with each attempt, to eight seconds at most, and never the same for all."""
    jitter = Random(seed)  # noqa: S311  (jitter that repeats)
    pause = retry.pause(attempt, first=first, random=jitter)
    assert 0 <= pause <= min(first * 2 ** (attempt - 1), 8)


def test_pauses_reach_their_ceiling() -> None:
    """The whole range below the ceiling is used."""

    class Highest(Random):
        def uniform(self, low: float, high: float) -> float:
            return (low, high)[1]

    pauses = [retry.pause(attempt, first=0.25, random=Highest()) for attempt in range(1, 9)]
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 8, 8]


@pytest.mark.parametrize(
    ("attempt", "sent", "repeatable", "again"),
    [
        (1, True, True, True),
        (3, True, True, True),
        (4, True, True, False),
        (1, True, False, False),
        (1, False, False, True),
        (4, False, False, False),
    ],
)
def test_only_what_may_not_have_been_taken_is_repeated(
    attempt: int, sent: bool, repeatable: bool, again: bool
) -> None:
    """Three repeats at most; one that might do harm only if the API cannot have taken it."""
    error = UnreachableError("sessions", "lost", sent=sent)
    assert retry.may_repeat(error, attempt=attempt, retries=3, repeatable=repeatable) is again


def test_a_suspended_call_is_not_tried_again() -> None:
    """Waiting for a breaker is not what a call is for."""
    error = SuspendedError("context", "open", sent=False)
    assert not retry.may_repeat(error, attempt=1, retries=3, repeatable=True)
