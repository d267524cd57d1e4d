"""What keeps all lessons together from pressing the API: bulkhead, rate limit, holds."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime

from loqua_host.errors import SuspendedError

from .clock import Clock
from .settings import CoreSettings

__all__ = ["Limits", "http_date", "wait_asked"]


class Limits:
    """Admits calls: as many at a time as the pool has connections, and so many a second.

    After a quiet second a second's worth may go at once; then they go one by one.
    The bulkhead keeps httpx's pool free of waiters: a cancelled one would leak its slot
    (https://github.com/encode/httpcore/issues/1093). When the API asks for a pause, every
    lesson's next call waits for its end, or fails at once if its deadline comes first.
    """

    def __init__(self, settings: CoreSettings, clock: Clock) -> None:
        self._bulkhead = asyncio.Semaphore(settings.pool_size)
        self._interval = 1 / settings.rate_limit
        self._next_turn = clock.monotonic() - 1
        self._max_hold = settings.max_hold
        self._clock = clock
        self._held_until = clock.monotonic()

    @asynccontextmanager
    async def slot(self, endpoint: str, deadline: float) -> AsyncIterator[None]:
        """Wait for leave to make one call before the deadline (monotonic seconds).

        Raises:
            SuspendedError: The API asked for a pause that outlasts the deadline.
        """
        await self._outwait_hold(endpoint, deadline)
        await self._outwait_turn(endpoint, deadline)
        async with self._bulkhead:
            await self._outwait_hold(endpoint, deadline)
            yield

    def heed(self, status: int, headers: Mapping[str, str]) -> float | None:
        """Hold all calls for as long as an answer asks; give those seconds."""
        asked = wait_asked(status, headers, self._clock.now())
        if asked is None:
            return None
        asked = min(asked, self._max_hold)
        self._held_until = max(self._held_until, self._clock.monotonic() + asked)
        return asked

    async def _outwait_hold(self, endpoint: str, deadline: float) -> None:
        while (wait := self._held_until - self._clock.monotonic()) > 0:
            if self._held_until >= deadline:
                raise _suspended(endpoint, "the API asked for a pause", wait)
            await self._clock.sleep(wait)

    async def _outwait_turn(self, endpoint: str, deadline: float) -> None:
        now = self._clock.monotonic()
        turn = max(self._next_turn, now - 1) + self._interval
        if turn >= deadline:
            raise _suspended(endpoint, "too many calls wait for api.rate_limit", turn - now)
        self._next_turn = turn
        if turn > now:
            await self._clock.sleep(turn - now)


def _suspended(endpoint: str, reason: str, wait: float) -> SuspendedError:
    return SuspendedError(endpoint, reason, retry_after=wait, sent=False)


def wait_asked(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """Give the seconds an answer asks callers to wait, or None.

    `Retry-After` comes as seconds or as a date (RFC 9110). `RateLimit-*` comes as
    `RateLimit-Remaining: 0` with `RateLimit-Reset: 30`, or as one `RateLimit` field with
    `r=0;t=30` or `remaining=0, reset=30` (the IETF drafts).
    """
    if status in (429, 503) and (asked := _retry_after(headers, now)) is not None:
        return asked
    remaining, reset = _rate_limit(headers)
    return reset if remaining == 0 else None


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}", value, re.ASCII):
        return float(value)
    moment = http_date(value)
    if moment is None:
        return None
    return max(0.0, moment - (http_date(headers.get("date", "")) or now))


def _rate_limit(headers: Mapping[str, str]) -> tuple[float | None, float | None]:
    field = headers.get("ratelimit", "")
    remaining = _found(r"\b(?:r|remaining)=(\d{1,9})\b", field)
    reset = _found(r"\b(?:t|reset)=(\d{1,9})\b", field)
    if remaining is None:
        remaining = _found(r"^\s*(\d{1,9})\b", headers.get("ratelimit-remaining", ""))
        reset = _found(r"^\s*(\d{1,9})\b", headers.get("ratelimit-reset", ""))
    return remaining, reset


def _found(pattern: str, text: str) -> float | None:
    match = re.search(pattern, text, re.ASCII)
    return None if match is None else float(match[1])


def http_date(value: str) -> float | None:
    """Give an HTTP date as seconds since 1970, or None when it is none."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
