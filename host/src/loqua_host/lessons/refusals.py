"""Jobs whose learner gets no lesson: turned away, with a message for the learner to hear."""

import structlog

from loqua_host.contract.handoff import Handback
from loqua_host.errors import LoquaError, RoomsError
from loqua_host.link.messages import Refused
from loqua_host.link.server import JobLink, JobRef

from .causes import ALREADY_TAUGHT, cause_of
from .services import Services

__all__ = ["Refusals"]

log = structlog.get_logger()


class Refusals:
    """Turns jobs away, and notes for which entry into the room that is settled."""

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
        """Apologise to a learner, who is refused until they enter again."""
        cause = cause_of(refusal)
        await self._close_entry(link.job, identity, cause)
        self._metrics.refused.labels(cause).inc()
        log.error("lesson.refused", cause=cause, why=str(refusal), room=link.job.room)
        await self._answer(link, cause, None if cause == ALREADY_TAUGHT else language)

    async def dismiss(self, link: JobLink, reason: str) -> None:
        """Send a job away that has no lesson yet, without a word; settles nothing."""
        await link.send(Refused(cause=reason))

    async def _close_entry(self, job: JobRef, identity: str, cause: str) -> None:
        """Settle the entry into the room, unless the learner has this tutor already."""
        if cause == ALREADY_TAUGHT:
            self._dispatch_state.on_closed(job, None)
            return
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
