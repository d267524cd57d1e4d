"""Lessons prepared ahead, while their jobs are still connecting."""

import asyncio
from collections.abc import Awaitable, Callable

from loqua_host.core import LoquaApi
from loqua_host.errors import LearnerError, LoquaError, RoomsError
from loqua_host.link.server import JobRef

from .prepare import Prepared

__all__ = ["Preparations"]

Prepare = Callable[[JobRef, str | None], Awaitable[Prepared]]


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
        self._early: dict[str, asyncio.Task[Prepared | LoquaError]] = {}

    def begin(self, job: JobRef) -> None:
        """Begin to prepare for the learner who seems to be meant."""
        self._early[job.job_id] = self._tasks.create_task(self._attempt(job))
        asyncio.get_running_loop().call_later(self._patience, self.drop, job.job_id)

    async def claim(self, job: JobRef, identity: str) -> Prepared:
        """Get the lesson for the learner that the job sees, prepared ahead if it was the one.

        Raises:
            LearnerError, RefusedError, RoomsError: If there is no lesson to give.
        """
        early = self._early.pop(job.job_id, None)
        outcome = await early if early is not None else None
        match outcome:
            case Prepared() if outcome.learner.identity == identity:
                return outcome
            case Prepared():
                self._api.release(outcome.caller)
            case LoquaError() if not isinstance(outcome, LearnerError | RoomsError):
                raise outcome
        return await self._prepare(job, identity)

    def drop(self, job_id: str) -> None:
        """Forget a preparation that no job claimed; one that was claimed is no longer here."""
        early = self._early.pop(job_id, None)
        if early is not None:
            early.add_done_callback(self._release)
            early.cancel()

    async def _attempt(self, job: JobRef) -> Prepared | LoquaError:
        try:
            return await self._prepare(job, None)
        except LoquaError as error:
            return error

    def _release(self, early: "asyncio.Task[Prepared | LoquaError]") -> None:
        if not early.cancelled() and isinstance(prepared := early.result(), Prepared):
            self._api.release(prepared.caller)
