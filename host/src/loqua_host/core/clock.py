"""Time as the core sees it, so that tests may hand it another."""

import asyncio
import time
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Where the core reads the time and where it waits."""

    def monotonic(self) -> float:
        """Return seconds on a scale that never steps; only differences mean anything."""

    def now(self) -> float:
        """Return seconds since 1970 in UTC, as this machine believes them to be."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many seconds."""


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Return the scale of `time.monotonic`."""
        return time.monotonic()

    def now(self) -> float:
        """Return the scale of `time.time`."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait in the running event loop."""
        await asyncio.sleep(seconds)
