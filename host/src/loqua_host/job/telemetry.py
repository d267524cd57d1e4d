"""Metrics and spans that a job sends to the host in the background."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from pydantic import BaseModel

from loqua_host.errors import LinkError
from loqua_host.link.client import HostLink
from loqua_host.link.messages import LONGEST_HOOK, LONGEST_LESSON, Hook, HookTimed

from .tracing import SpanBuffer

__all__ = ["Telemetry"]

EVERY: Final = 1.0
"""Seconds between two messages."""


class Telemetry:
    """Collect metrics and spans from a lesson's welcome on, and send them periodically.

    Args:
        monotonic: A monotonic clock, in seconds.
    """

    def __init__(self, link: HostLink, spans: SpanBuffer, monotonic: Callable[[], float]) -> None:
        self._link = link
        self._spans = spans
        self._monotonic = monotonic
        self._begun = monotonic()
        self._untold: deque[BaseModel] = deque()

    def queue(self, message: BaseModel) -> None:
        """Queue a message."""
        self._untold.append(message)

    def time_hook(self, hook: Hook, seconds: float, *, failed: bool) -> None:
        """Report the duration of a hook call."""
        after = max(0.0, self._monotonic() - self._begun - seconds)
        self.queue(
            HookTimed(
                hook=hook,
                after=min(after, LONGEST_LESSON),
                seconds=min(seconds, LONGEST_HOOK),
                failed=failed,
            )
        )

    async def send(self) -> None:
        """Send the queue every second, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Send the queue. If the host is gone, the link's reader handles it."""
        with contextlib.suppress(LinkError):
            for message in self._waiting():
                await self._link.send(message)

    def _waiting(self) -> Iterator[BaseModel]:
        while self._untold:
            yield self._untold.popleft()
        yield from self._spans.drain()
