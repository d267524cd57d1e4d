"""Prefetching of lessons while their jobs are connecting."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from opentelemetry import trace

from loqua_host.core import LoquaApi
from loqua_host.link.server import JobRef

from .prepared_lesson import PreparedLesson
from .tracing import start_trace

__all__ = ["Prefetcher"]

PREFETCH_SECONDS = 10.0
"""Seconds for which a prefetch waits for its job; LiveKit offers it within about 0.2 s."""

UNCLAIMED_SECONDS = 90.0
"""Seconds for which a prefetch waits to be claimed; a job waits at most 60 s for its learner."""

Prepare = Callable[[JobRef, str | None], Coroutine[Any, Any, PreparedLesson]]


class Prefetcher:
    """Prepare lessons when their jobs are expected or accepted, to hide the API's latency.

    Args:
        prepare: Prepares a lesson for a job and a learner's identity; None is the first learner.
        api: Releases the leases of unclaimed prefetches.
        tasks: Owns the tasks.
    """

    def __init__(self, prepare: Prepare, api: LoquaApi, tasks: asyncio.TaskGroup) -> None:
        self._prepare = prepare
        self._api = api
        self._tasks = tasks
        self._early: dict[str, asyncio.Task[PreparedLesson]] = {}
        self._prefetched: dict[
            tuple[str, str], tuple[asyncio.Task[PreparedLesson], trace.Span]
        ] = {}

    def prefetch(self, room: str, tutor: str, identity: str) -> None:
        """Start to prefetch for an expected job; idempotent."""
        where = (room, tutor)
        if where not in self._prefetched:
            span = start_trace(room, tutor)
            with trace.use_span(span):
                preparing = self._start(self._prepare(JobRef("", room, tutor), identity))
            self._prefetched[where] = preparing, span
            asyncio.get_running_loop().call_later(PREFETCH_SECONDS, self._forget, where)

    def begin(self, job: JobRef) -> trace.Span:
        """Start to prefetch for an accepted job, or continue the prefetch if it was expected.

        Returns:
            The job's span, which also continues in that case.
        """
        started, span = self._prefetched.pop((job.room, job.tutor), (None, None))
        span = span or start_trace(job.room, job.tutor)
        span.set_attribute("job_id", job.job_id)
        preparing = self._prepare(job, None) if started is None else self._go_on(job, started)
        with trace.use_span(span):
            self._early[job.job_id] = self._start(preparing)
        asyncio.get_running_loop().call_later(UNCLAIMED_SECONDS, self.drop, job.job_id)
        return span

    async def claim(self, job: JobRef, identity: str) -> PreparedLesson:
        """Return the lesson for a job's learner: the prefetched one, or else prepare it now.

        Raises:
            LearnerError, RefusedError, RoomsError: If the lesson cannot be prepared.
        """
        early = self._early.pop(job.job_id, None)
        prepared = None if early is None else await self._outcome(early)
        if prepared is not None and prepared.learner.identity == identity:
            return prepared
        self.give_back(prepared)
        return await self._prepare(job, identity)

    def drop(self, job_id: str) -> None:
        """Drop a job's prefetch, unless it has been claimed."""
        early = self._early.pop(job_id, None)
        if early is not None:
            self._discard(early)

    def give_back(self, prepared: PreparedLesson | None) -> None:
        """Release the lease of a lesson that will not start."""
        if prepared is not None and prepared.leased:
            self._api.release(prepared.caller)

    def _start(
        self, preparing: Coroutine[Any, Any, PreparedLesson]
    ) -> asyncio.Task[PreparedLesson]:
        early = asyncio.create_task(preparing)
        self._tasks.create_task(_end_with(early))
        return early

    async def _go_on(self, job: JobRef, started: asyncio.Task[PreparedLesson]) -> PreparedLesson:
        return await self._outcome(started) or await self._prepare(job, None)

    def _forget(self, where: tuple[str, str]) -> None:
        if started := self._prefetched.pop(where, None):
            preparing, span = started
            self._discard(preparing)
            span.end()

    async def _outcome(self, early: asyncio.Task[PreparedLesson]) -> PreparedLesson | None:
        try:
            await asyncio.wait({early})
        except asyncio.CancelledError:
            self._discard(early)
            raise
        return _prepared(early)

    def _discard(self, early: asyncio.Task[PreparedLesson]) -> None:
        early.cancel()
        early.add_done_callback(lambda task: self.give_back(_prepared(task)))


async def _end_with(early: asyncio.Task[PreparedLesson]) -> None:
    """Await a prefetch, and cancel it with the host; ignore its failure."""
    try:
        await asyncio.wait({early})
    finally:
        early.cancel()


def _prepared(early: asyncio.Task[PreparedLesson]) -> PreparedLesson | None:
    """Return the result, or None if it failed: the claim then tries again."""
    return None if early.cancelled() or early.exception() else early.result()
