"""Lessons prepared ahead, while their jobs are still connecting."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from opentelemetry import trace

from loqua_host.core import LoquaApi
from loqua_host.link.server import JobRef

from .prepared_lesson import PreparedLesson
from .tracing import start_trace

__all__ = ["Prefetcher"]

FORESIGHT_SECONDS = 10.0
"""How long a preparation without a job waits for one; LiveKit brings it in a fifth of a second."""

UNCLAIMED_SECONDS = 90.0
"""How long a preparation waits to be claimed; a job waits 60 s for its learner at most."""

Prepare = Callable[[JobRef, str | None], Coroutine[Any, Any, PreparedLesson]]


class Prefetcher:
    """Prepares a lesson when its job is accepted or foreseen, so that no learner waits for the API.

    Args:
        prepare: Prepares for a job and the learner of an identity, None for the first in.
        api: Where the lease of a preparation that nobody claims is released.
        tasks: Owns the work.
    """

    def __init__(self, prepare: Prepare, api: LoquaApi, tasks: asyncio.TaskGroup) -> None:
        self._prepare = prepare
        self._api = api
        self._tasks = tasks
        self._early: dict[str, asyncio.Task[PreparedLesson]] = {}
        self._foreseen: dict[tuple[str, str], tuple[asyncio.Task[PreparedLesson], trace.Span]] = {}

    def prefetch(self, room: str, tutor: str, identity: str) -> None:
        """Start to prefetch for a job that seems to be coming; idempotent."""
        where = (room, tutor)
        if where not in self._foreseen:
            span = start_trace(room, tutor)
            with trace.use_span(span):
                preparing = self._start(self._prepare(JobRef("", room, tutor), identity))
            self._foreseen[where] = preparing, span
            asyncio.get_running_loop().call_later(FORESIGHT_SECONDS, self._forget, where)

    def begin(self, job: JobRef) -> trace.Span:
        """Begin to prepare for the learner who seems to be meant, or go on if that was foreseen.

        Returns the span of the job, which goes on as well then.
        """
        foreseen, span = self._foreseen.pop((job.room, job.tutor), (None, None))
        span = span or start_trace(job.room, job.tutor)
        span.set_attribute("job_id", job.job_id)
        preparing = self._prepare(job, None) if foreseen is None else self._go_on(job, foreseen)
        with trace.use_span(span):
            self._early[job.job_id] = self._start(preparing)
        asyncio.get_running_loop().call_later(UNCLAIMED_SECONDS, self.drop, job.job_id)
        return span

    async def claim(self, job: JobRef, identity: str) -> PreparedLesson:
        """Return the lesson for the learner that the job sees, prepared ahead if it was the one.

        Raises:
            LearnerError, RefusedError, RoomsError: If there is no lesson to give.
        """
        early = self._early.pop(job.job_id, None)
        prepared = None if early is None else await self._outcome(early)
        if prepared is not None and prepared.learner.identity == identity:
            return prepared
        self.give_back(prepared)
        return await self._prepare(job, identity)

    def drop(self, job_id: str) -> None:
        """Forget a preparation that no job claimed; one that was claimed is no longer here."""
        early = self._early.pop(job_id, None)
        if early is not None:
            self._discard(early)

    def give_back(self, prepared: PreparedLesson | None) -> None:
        """Release what a lesson that will not be taught has leased."""
        if prepared is not None and prepared.leased:
            self._api.release(prepared.caller)

    def _start(
        self, preparing: Coroutine[Any, Any, PreparedLesson]
    ) -> asyncio.Task[PreparedLesson]:
        early = asyncio.create_task(preparing)
        self._tasks.create_task(_end_with(early))
        return early

    async def _go_on(self, job: JobRef, foreseen: asyncio.Task[PreparedLesson]) -> PreparedLesson:
        return await self._outcome(foreseen) or await self._prepare(job, None)

    def _forget(self, where: tuple[str, str]) -> None:
        if foreseen := self._foreseen.pop(where, None):
            preparing, span = foreseen
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
    """Cancel a prefetch with the host; its own failure affects nothing else."""
    try:
        await asyncio.wait({early})
    finally:
        early.cancel()


def _prepared(early: asyncio.Task[PreparedLesson]) -> PreparedLesson | None:
    """Return the result; a failure may concern somebody else, or shows again at the claim."""
    return None if early.cancelled() or early.exception() else early.result()
