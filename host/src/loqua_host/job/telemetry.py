"""What a job tells the host in passing: no lesson waits for it."""

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
"""Seconds between two tellings."""


class Telemetry:
    """Gathers measurements and spans from a lesson's welcome on, and sends them now and then.

    Args:
        monotonic: A clock that never steps, in seconds.
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
        """Send what there is every second, until cancelled."""
        while True:
            await asyncio.sleep(EVERY)
            await self.flush()

    async def flush(self) -> None:
        """Send what there is; a host that is gone is for the link's reader to notice."""
        with contextlib.suppress(LinkError):
            for message in self._waiting():
                await self._link.send(message)

    def _waiting(self) -> Iterator[BaseModel]:
        while self._untold:
            yield self._untold.popleft()
        yield from self._spans.drain()
