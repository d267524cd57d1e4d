"""The deadline of a worker's lessons when the worker drains."""

import asyncio
from dataclasses import dataclass

__all__ = ["Departure"]

LEAST_SECONDS = 4.0
"""The minimum time for a goodbye. With less, lessons are cut off and resumed elsewhere."""


@dataclass(frozen=True, slots=True)
class Departure:
    """The reason for which a worker drains, and its deadline.

    Attributes:
        reason: The reason for which its lessons end, such as `host_stopping`.
        deadline: When running jobs are cut off, by the event loop's clock.
    """

    reason: str
    deadline: float

    @classmethod
    def within(cls, seconds: float, reason: str) -> "Departure":
        """Return a departure with its deadline these seconds from now."""
        return cls(reason, asyncio.get_running_loop().time() + seconds)

    @property
    def leaves_time(self) -> bool:
        """Whether there is time to say goodbye."""
        return self.seconds_left >= LEAST_SECONDS

    @property
    def seconds_left(self) -> float:
        """Seconds from now to the deadline, 0 after it."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())
