"""Refusals of lessons, with a message for the learner."""

import structlog

from loqua_host.contract.handoff import Handback
from loqua_host.errors import LedgerError, LoquaError, RoomsError
from loqua_host.link.messages import Refused
from loqua_host.link.server import JobLink, JobRef

from .causes import ALREADY_TAUGHT, cause_of
from .services import Services

__all__ = ["Refusals"]

log = structlog.get_logger()


class Refusals:
    """Refuse jobs, and note the learner's entry so that no other job is dispatched for it."""

    def __init__(self, services: Services) -> None:
        self._rooms = services.rooms
        self._ledger = services.ledger
        self._dispatch_state = services.dispatch_state
        self._tutors = services.tutors
        self._tasks = services.tasks
        self._metrics = services.metrics

    async def refuse(
        self, link: JobLink, identity: str, refusal: LoquaError, language: str
    ) -> None:
        """Refuse a job with an apology. The learner gets no tutor until they enter again.

        If the learner has this tutor already, or another host may start the lesson because this one
        does not reach the ledger, the job leaves silently, and the learner's entry stays open.
        """
        cause = cause_of(refusal)
        silent = cause == ALREADY_TAUGHT or self._is_for_others(refusal)
        if silent:
            self._dispatch_state.on_closed(link.job, None)
        else:
            await self._close_entry(link.job, identity)
        self._metrics.refused.labels(cause).inc()
        log.error("lesson.refused", cause=cause, why=str(refusal), room=link.job.room)
        await self._answer(link, cause, None if silent else language)

    def _is_for_others(self, refusal: LoquaError) -> bool:
        unreachable = isinstance(refusal, LedgerError) and not self._ledger.responsive
        return unreachable and self._dispatch_state.shared

    async def dismiss(self, link: JobLink, reason: str) -> None:
        """Dismiss a job that has no lesson yet, silently and without refusing the learner."""
        await link.send(Refused(cause=reason))

    async def _close_entry(self, job: JobRef, identity: str) -> None:
        """Note the refused entry."""
        entry = await self._entry(job.room, identity)
        self._dispatch_state.on_closed(job, entry)
        if entry is not None:
            self._tasks.create_task(self._ledger.refuse(job.room, entry, job.tutor))
        self._dispatch_state.on_handed_back(job.room, job.tutor, Handback(outcome="failed"))

    async def _entry(self, room: str, identity: str) -> str | None:
        try:
            participants = await self._rooms.participants(room)
        except RoomsError:
            return None
        return next((one.sid for one in participants if one.identity == identity), None)

    async def _answer(self, link: JobLink, cause: str, language: str | None) -> None:
        secrets = dict(self._tutors[link.job.tutor].secrets)
        await link.send(Refused(cause=cause, language=language, secrets=secrets))
