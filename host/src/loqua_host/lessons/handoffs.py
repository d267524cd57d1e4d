"""Handoffs in the host: dispatch a specialist and return its result to the calling tutor."""

import asyncio
from collections.abc import Mapping

import structlog

from loqua_host.contract.handoff import Handback, Handover
from loqua_host.errors import HandoffError, RoomsError
from loqua_host.link.messages import CallSpecialist, HandedBack, HandoffRefused
from loqua_host.records.ledger import LessonRow
from loqua_host.rooms.rooms import Rooms

from .dispatch_state import Asked, DispatchState
from .metrics import LessonMetrics
from .tutors import RunningTutor

__all__ = ["COME_SECONDS", "Handoffs"]

log = structlog.get_logger()

COME_SECONDS = 10.0
"""Seconds within which a called specialist's lesson must start, whatever the capacity."""


class Handoffs:
    """Request specialists from the reconciler, and wait for their results."""

    def __init__(
        self,
        dispatch_state: DispatchState,
        rooms: Rooms,
        tutors: Mapping[str, RunningTutor],
        metrics: LessonMetrics,
    ) -> None:
        self._dispatch_state = dispatch_state
        self._rooms = rooms
        self._tutors = tutors
        self._metrics = metrics

    async def hand_off(self, row: LessonRow, call: CallSpecialist) -> HandedBack | HandoffRefused:
        """Dispatch a specialist to the lesson's learner; return the answer for its job."""
        try:
            specialist = self._find(row, call.agent_name)
        except HandoffError as error:
            log.warning("handoff.refused", tutor=row.tutor, why=str(error))
            return HandoffRefused(why=str(error))
        handover = Handover(tutor=row.tutor, sentences=call.sentences, **call.request.model_dump())
        lesson_log = log.bind(tutor=specialist.name, by=row.tutor, room=row.room)
        lesson_log.info("handoff.requested")
        with self._dispatch_state.asking(row.room, specialist.name, row.user_id, handover) as asked:
            handback = await _outcome(asked, lesson_log)
        if handback.outcome == "absent":
            await self._call_off(row.room, specialist)
        self._metrics.handoffs.labels(specialist.name, handback.outcome).inc()
        lesson_log.info("handoff.finished", outcome=handback.outcome)
        return HandedBack(handback=handback)

    def _find(self, row: LessonRow, agent_name: str) -> RunningTutor:
        specialists = {one.agent_name: one for one in self._tutors.values() if one.agent_name}
        if row.tutor in {one.name for one in specialists.values()}:
            raise HandoffError(f"{row.tutor} is a specialist; only the automatic tutor calls one")
        specialist = specialists.get(agent_name)
        if specialist is None:
            known = ", ".join(sorted(specialists)) or "none"
            # The request is not logged, because a model may have derived it from what was said.
            raise HandoffError(f"no tutor here has that agent_name; there are: {known}")
        if self._dispatch_state.leaving:
            raise HandoffError("this host is about to stop, and calls nobody any more")
        if (
            specialist.name
            in self._dispatch_state.taught(row.room) | self._dispatch_state.asked(row.room).keys()
        ):
            raise HandoffError(f"{agent_name} is in the room already, or on its way")
        return specialist

    async def _call_off(self, room: str, specialist: RunningTutor) -> None:
        """Delete a dispatch, so that the specialist does not join too late."""
        self._dispatch_state.on_not_called(room, specialist.name)
        try:
            await self._rooms.withdraw(room, specialist.agent_name)
        except RoomsError as error:
            log.warning("handoff.not_cancelled", tutor=specialist.name, why=str(error))


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
