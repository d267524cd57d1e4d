"""The remaining time of a lesson."""

from collections.abc import Callable

__all__ = ["LessonClock"]

_SCENARIO_SECONDS = 300.0
"""Time that another scenario needs, with its goodbye."""


class LessonClock:
    """The time taught, from the host's ticks, and the rest of the preferred length.

    Args:
        clock: The time in seconds.
        minutes: The learner's preferred length of a session; None if unknown.
    """

    def __init__(self, clock: Callable[[], float], minutes: float | None) -> None:
        self._clock = clock
        self._minutes = minutes
        self._taught, self._since = 0.0, clock()

    def set(self, seconds: float) -> None:
        """Set the seconds taught, as a tick of the host has them."""
        self._taught, self._since = seconds, self._clock()

    @property
    def has_time_for_scenario(self) -> bool:
        """Whether another scenario fits; not if the length is unknown."""
        taught = self._taught + self._clock() - self._since
        return self._minutes is not None and self._minutes * 60 - taught >= _SCENARIO_SECONDS
