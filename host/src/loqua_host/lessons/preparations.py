"""Lessons prepared ahead, while their jobs are still connecting."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from loqua_host.core import LoquaApi
from loqua_host.link.server import JobRef

from .prepare import Prepared

__all__ = ["Preparations"]

Prepare = Callable[[JobRef, str | None], Coroutine[Any, Any, Prepared]]


class Preparations:
    """Prepares a lesson when its job is accepted, so that the API's time costs no learner any.

    Args:
        prepare: Prepares for a job and the learner of an identity, None for the first in.
        api: Where the lease of a preparation that nobody claims is released.
        tasks: Owns the work.
        patience: Seconds after which an unclaimed preparation is dropped.
    """

    def __init__(
        self, prepare: Prepare, api: LoquaApi, tasks: asyncio.TaskGroup, patience: float
    ) -> None:
        self._prepare = prepare
        self._api = api
        self._tasks = tasks
        self._patience = patience
        self._early: dict[str, asyncio.Task[Prepared]] = {}

    def begin(self, job: JobRef) -> None:
        """Begin to prepare for the learner who seems to be meant."""
        early = asyncio.create_task(self._prepare(job, None))
        self._early[job.job_id] = early
        self._tasks.create_task(_end_with(early))
        asyncio.get_running_loop().call_later(self._patience, self.drop, job.job_id)

    async def claim(self, job: JobRef, identity: str) -> Prepared:
        """Get the lesson for the learner that the job sees, prepared ahead if it was the one.

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

    def give_back(self, prepared: Prepared | None) -> None:
        """Release what a lesson that will not be taught has leased."""
        if prepared is not None and prepared.leased:
            self._api.release(prepared.caller)

    async def _outcome(self, early: asyncio.Task[Prepared]) -> Prepared | None:
        try:
            await asyncio.wait({early})
        except asyncio.CancelledError:
            self._discard(early)
            raise
        return _prepared(early)

    def _discard(self, early: asyncio.Task[Prepared]) -> None:
        early.cancel()
        early.add_done_callback(lambda task: self.give_back(_prepared(task)))


async def _end_with(early: asyncio.Task[Prepared]) -> None:
    """Have a preparation end with the host; what is its own to fail fails nobody else."""
    try:
        await asyncio.wait({early})
    finally:
        early.cancel()


def _prepared(early: asyncio.Task[Prepared]) -> Prepared | None:
    """Get what came of it; what failed may be about somebody else, or shows again at the claim."""
    return None if early.cancelled() or early.exception() else early.result()
