"""What keeps all lessons together from pressing the API: bulkhead, rate limit, holds."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from loqua_host.errors import SuspendedError

from .clock import Clock
from .rate_headers import wait_asked
from .settings import CoreSettings

__all__ = ["RateLimits"]

FIRST_PAUSE = 1.0
"""Seconds that an endpoint rests after a 429; twice as many after each that follows."""

LONGEST_PAUSE = 32.0

TOO_MANY = 429


@dataclass(slots=True)
class _Rest:
    """How long an endpoint rests, and after how many 429 in a row."""

    until: float = 0.0
    refusals: int = 0


class RateLimits:
    """Admits calls: as many at a time as the pool has connections, and so many a second.

    After a quiet second a second's worth may go at once; then they go one by one.
    The bulkhead keeps httpx's pool free of waiters: a cancelled one would leak its slot
    (https://github.com/encode/httpcore/issues/1093). When the API asks for a pause, every
    lesson's next call waits for its end, or fails at once if its deadline comes first. A 429
    that names no pause does so for calls of its endpoint.
    """

    def __init__(self, settings: CoreSettings, clock: Clock) -> None:
        self._bulkhead = asyncio.Semaphore(settings.pool_size)
        self._interval = 1 / settings.rate_limit
        self._next_turn = clock.monotonic() - 1
        self._max_hold = settings.max_hold
        self._clock = clock
        self._held_until = clock.monotonic()
        self._rests: dict[str, _Rest] = {}

    @asynccontextmanager
    async def slot(self, endpoint: str, deadline: float) -> AsyncIterator[None]:
        """Wait for leave to make one call before the deadline (monotonic seconds).

        Raises:
            SuspendedError: The API asked for a pause that outlasts the deadline.
        """
        await self._wait_for_hold(endpoint, deadline)
        await self._wait_for_turn(endpoint, deadline)
        async with self._bulkhead:
            await self._wait_for_hold(endpoint, deadline)
            yield

    def handle(self, endpoint: str, status: int, headers: Mapping[str, str]) -> float | None:
        """Hold calls for as long as an answer asks; return those seconds, None if it asks not."""
        asked = wait_asked(status, headers, self._clock.now())
        rest = self._rest(endpoint, status)
        if asked is not None:
            asked = min(asked, self._max_hold)
            self._held_until = max(self._held_until, self._clock.monotonic() + asked)
        return rest if asked is None else max(asked, rest or 0.0)

    def _rest(self, endpoint: str, status: int) -> float | None:
        """Pause an endpoint after a 429 and return for how long; any other answer ends it."""
        if status != TOO_MANY:
            self._rests.pop(endpoint, None)
            return None
        now, rest = self._clock.monotonic(), self._rests.setdefault(endpoint, _Rest())
        if now >= rest.until:  # else it answers a call from before the rest
            pause = min(FIRST_PAUSE * 2**rest.refusals, LONGEST_PAUSE, self._max_hold)
            rest.until = now + pause
            rest.refusals = min(rest.refusals + 1, 10)
        return rest.until - now

    def _until(self, endpoint: str) -> float:
        rest = self._rests.get(endpoint)
        return self._held_until if rest is None else max(self._held_until, rest.until)

    async def _wait_for_hold(self, endpoint: str, deadline: float) -> None:
        while (wait := self._until(endpoint) - self._clock.monotonic()) > 0:
            if self._until(endpoint) >= deadline:
                raise _suspended(endpoint, "the API asked for a pause", wait)
            await self._clock.sleep(wait)

    async def _wait_for_turn(self, endpoint: str, deadline: float) -> None:
        now = self._clock.monotonic()
        turn = max(self._next_turn, now - 1) + self._interval
        if turn >= deadline:
            raise _suspended(endpoint, "too many calls wait for api.rate_limit", turn - now)
        self._next_turn = turn
        if turn > now:
            await self._clock.sleep(turn - now)


def _suspended(endpoint: str, reason: str, wait: float) -> SuspendedError:
    return SuspendedError(endpoint, reason, retry_after=wait, sent=False)
