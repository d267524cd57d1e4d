"""Limits of API calls for all lessons: bulkhead, rate limit, requested pauses."""

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
"""Seconds that an endpoint pauses after a 429; doubles after each further one."""

LONGEST_PAUSE = 32.0

TOO_MANY = 429


@dataclass(slots=True)
class _Rest:
    """An endpoint's pause, and the number of consecutive 429."""

    until: float = 0.0
    refusals: int = 0


class RateLimits:
    """Limit concurrent calls to the pool's connections, and calls per second.

    After a quiet second, a second's worth of calls may go at once. The bulkhead keeps httpx's pool
    free of waiters, because a cancelled one would leak its slot
    (https://github.com/encode/httpcore/issues/1093). If the API asks for a pause, all calls wait
    for its end, or fail at once if their deadline comes first. A 429 without a pause affects its
    endpoint only.
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
        """Wait for a slot for one call before the deadline (monotonic seconds).

        Raises:
            SuspendedError: If the API asked for a pause that ends after the deadline.
        """
        await self._wait_for_hold(endpoint, deadline)
        await self._wait_for_turn(endpoint, deadline)
        async with self._bulkhead:
            await self._wait_for_hold(endpoint, deadline)
            yield

    def handle(self, endpoint: str, status: int, headers: Mapping[str, str]) -> float | None:
        """Pause calls as a response requests; return the seconds, or None if it does not."""
        asked = wait_asked(status, headers, self._clock.now())
        rest = self._rest(endpoint, status)
        if asked is not None:
            asked = min(asked, self._max_hold)
            self._held_until = max(self._held_until, self._clock.monotonic() + asked)
        return rest if asked is None else max(asked, rest or 0.0)

    def _rest(self, endpoint: str, status: int) -> float | None:
        """Pause an endpoint after a 429, and return the seconds; other responses end the pause."""
        if status != TOO_MANY:
            self._rests.pop(endpoint, None)
            return None
        now, rest = self._clock.monotonic(), self._rests.setdefault(endpoint, _Rest())
        if now >= rest.until:  # an earlier response answers a call from before the pause
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
