"""Retries: which calls are repeated, and after which delay."""

from random import Random

from loqua_host.errors import UnreachableError

__all__ = ["may_repeat", "pause"]

LONGEST = 8.0
"""Maximum seconds of a pause."""


def may_repeat(error: UnreachableError, *, attempt: int, retries: int, repeatable: bool) -> bool:
    """Return whether a failed attempt (from 1) may be followed by another.

    What the API may have taken is repeated only when repeating it does no harm.
    """
    return error.retryable and attempt <= retries and (repeatable or not error.sent)


def pause(attempt: int, *, first: float, random: Random) -> float:
    """Return the seconds to wait after an attempt (from 1): exponential, with full jitter."""
    return random.uniform(0, min(first * 2 ** (attempt - 1), LONGEST))
