"""Handoffs in the host: dispatch a specialist and return its result to the calling tutor."""

import asyncio

import structlog

from loqua_host.contract.handoff import Handback, Handover
from loqua_host.errors import HandoffError, LedgerError, RoomsError
from loqua_host.link.messages import CallSpecialist, HandedBack, HandoffRefused
from loqua_host.records.ledger import LessonRow

from .dispatch_state import Asked
from .services import Services
from .tutors import find_agent_name

__all__ = ["COME_SECONDS", "Handoffs"]

log = structlog.get_logger()

COME_SECONDS = 10.0
"""Seconds within which a called specialist's lesson must start, whatever the capacity."""


class Handoffs:
    """Request specialists from the reconciler, and wait for their results.

    The specialist may run on any host. The ledger keeps the call and its result, so that the
    lesson's next job gets it if this one crashes, on whichever host.
    """

    def __init__(self, services: Services) -> None:
        self._dispatch_state = services.dispatch_state
        self._rooms = services.rooms
        self._ledger = services.ledger
        self._tutors = services.tutors
        self._tasks = services.tasks
        self._metrics = services.metrics

    async def hand_off(self, row: LessonRow, call: CallSpecialist) -> HandedBack | HandoffRefused:
        """Dispatch a specialist to the lesson's learner; return the answer for its job."""
        try:
            specialist = self._find(row, call.agent_name)
            await self._ledger.call_specialist(row, specialist)
        except (HandoffError, LedgerError) as error:
            log.warning("handoff.refused", tutor=row.tutor, why=str(error))
            return HandoffRefused(why=str(error))
        handover = Handover(tutor=row.tutor, sentences=call.sentences, **call.request.model_dump())
        log.info("handoff.requested", tutor=specialist, by=row.tutor, room=row.room)
        return await self._await(row, specialist, handover)

    async def take_up(self, row: LessonRow) -> HandedBack:
        """Wait for the specialist that an earlier job of a resumed lesson has called."""
        log.info("handoff.taken_up", tutor=row.called, by=row.tutor, room=row.room)
        return await self._await(row, row.called, None)

    async def _await(
        self, row: LessonRow, specialist: str, handover: Handover | None
    ) -> HandedBack:
        lesson_log = log.bind(tutor=specialist, by=row.tutor, room=row.room)
        with self._dispatch_state.asking(row.room, specialist, row.user_id, handover) as asked:
            handback = await _outcome(asked, lesson_log)
        if handback.outcome == "absent":
            await self._call_off(row.room, specialist)
        self._tasks.create_task(self._ledger.end_call(row, specialist))
        self._metrics.handoffs.labels(specialist, handback.outcome).inc()
        lesson_log.info("handoff.finished", outcome=handback.outcome)
        return HandedBack(handback=handback)

    def _find(self, row: LessonRow, agent_name: str) -> str:
        """Return the tutor name of a specialist that runs on some host."""
        own = {one.name: one.agent_name for one in self._tutors.values() if one.agent_name}
        if row.tutor in own:
            raise HandoffError(f"{row.tutor} is a specialist; only the automatic tutor calls one")
        names = {**self._dispatch_state.elsewhere, **own}
        specialist = next((tutor for tutor, name in names.items() if name == agent_name), None)
        if specialist is None:
            known = ", ".join(sorted(names.values())) or "none"
            # The request is not logged, because a model may have derived it from what was said.
            raise HandoffError(f"no running tutor has that agent_name; there are: {known}")
        if self._dispatch_state.leaving:
            raise HandoffError("this host is about to stop and accepts no more calls")
        if (
            specialist
            in self._dispatch_state.taught(row.room) | self._dispatch_state.asked(row.room).keys()
        ):
            raise HandoffError(f"{agent_name} is in the room already, or on its way")
        return specialist

    async def _call_off(self, room: str, specialist: str) -> None:
        """Delete a dispatch, so that the specialist does not join too late."""
        self._dispatch_state.on_not_called(room, specialist)
        agent_name = find_agent_name(specialist, self._tutors, self._dispatch_state.elsewhere)
        try:
            if agent_name is not None:
                await self._rooms.withdraw(room, agent_name)
        except RoomsError as error:
            log.warning("handoff.not_cancelled", tutor=specialist, why=str(error))


async def _outcome(asked: Asked, lesson_log: structlog.stdlib.BoundLogger) -> Handback:
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(COME_SECONDS):
            await asked.came.wait()
    except TimeoutError:
        return Handback(outcome="absent")
    if not asked.over.done():
        took = asyncio.get_running_loop().time() - began
        lesson_log.info("handoff.joined", seconds=round(took, 2))
    return await asked.over
