"""When a worker leaves, which its lessons have to be over by."""

import asyncio
from dataclasses import dataclass

__all__ = ["Departure"]

LEAST_SECONDS = 4.0
"""A time in which nobody can say goodbye: lessons are cut off after it, and gone on with."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Why a worker leaves, and when at the latest.

    Attributes:
        reason: The reason that its lessons end for, such as `host_stopping`.
        deadline: When jobs that still run are cut off, by the event loop's clock.
    """

    reason: str
    deadline: float

    @classmethod
    def within(cls, seconds: float, reason: str) -> "Departure":
        """Return the departure that is due so many seconds from now."""
        return cls(reason, asyncio.get_running_loop().time() + seconds)

    @property
    def leaves_time(self) -> bool:
        """Whether there is time to say goodbye."""
        return self.seconds_left >= LEAST_SECONDS

    @property
    def seconds_left(self) -> float:
        """Seconds from now to the deadline, 0 after it."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())
