"""The clock, which tests replace."""

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """The interface for time and sleep."""

    def monotonic(self) -> float:
        """Return monotonic seconds; only differences are meaningful."""

    def now(self) -> float:
        """Return this machine's Unix time, in seconds."""

    async def sleep(self, seconds: float) -> None:
        """Sleep."""


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Return `time.monotonic()`."""
        return time.monotonic()

    def now(self) -> float:
        """Return `time.time()`."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait in the running event loop."""
        await asyncio.sleep(seconds)
