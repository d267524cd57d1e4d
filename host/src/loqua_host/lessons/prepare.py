"""Prepare a lesson: verify the learner, exchange the token, load the context."""

import asyncio
import re
from dataclasses import dataclass
from uuid import uuid4

import structlog
from opentelemetry import trace

from loqua_host.contract.learner import Learner, LearnerContext
from loqua_host.contract.records import Mode
from loqua_host.core import Caller, Loaded, LoquaApi
from loqua_host.errors import UnreachableError
from loqua_host.records.ledger import LessonRow
from loqua_host.rooms.learners import pick_learner
from loqua_host.rooms.rooms import Rooms

__all__ = ["Prepared", "new_lesson", "prepare"]

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")

VISIT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A lesson that can start: the context is loaded as far as the API was in reach.

    Attributes:
        entry: LiveKit's `sid` of the learner's entry into the room.
        leased: Whether the caller's token is leased, and to be released by the receiver.
    """

    learner: Learner
    caller: Caller
    context: LearnerContext
    mode: Mode
    leased: bool
    entry: str

    @property
    def known(self) -> LearnerContext | None:
        """The learner's context, unless it is made up for want of an API."""
        return self.context if self.mode in (Mode.FULL, Mode.CACHE) else None


def new_lesson(prepared: Prepared, tutor: str, now: float) -> LessonRow:
    """Get the lesson that a tutor begins with a learner, in unix seconds."""
    visit = prepared.learner.attributes.get("sessionId", "")
    visit = visit if VISIT.fullmatch(visit) else f"visit_{uuid4().hex}"
    return LessonRow(
        id=uuid4().hex,
        session_id=visit,
        visit=visit,
        user_id=prepared.caller.user_id,
        room=prepared.caller.room,
        tutor=tutor,
        agent_id=prepared.caller.agent_id,
        opened_at=now,
        entry=prepared.entry,
    )


async def prepare(
    rooms: Rooms, api: LoquaApi, *, room: str, agent_id: str, identity: str | None
) -> Prepared:
    """Prepare a lesson for the learner of that identity, or for the first in the room.

    Raises:
        LearnerError: If no participant can be taught.
        RefusedError: If the API refuses agent, learner or permission.
        RoomsError: If LiveKit does not say who is in the room.
    """
    with tracer.start_as_current_span("learner verification", record_exception=False):
        participants = await rooms.participants(room)
        learner = pick_learner(participants, identity)
    entry = next(one.sid for one in participants if one.identity == learner.identity)
    caller = Caller(user_id=learner.user_id, room=room, agent_id=agent_id)
    log.info("learner.found", user_id=learner.user_id, agent_id=agent_id, room=room)
    try:
        await api.lease(caller)
    except UnreachableError as error:
        log.warning("lesson.without_api", user_id=learner.user_id, why=str(error))
        known = api.remembered(caller)
        return Prepared(learner, caller, known.context, known.mode, leased=False, entry=entry)
    try:
        loaded = await _load(api, caller)
    except BaseException:
        api.release(caller)
        raise
    return Prepared(learner, caller, loaded.context, loaded.mode, leased=True, entry=entry)


async def _load(api: LoquaApi, caller: Caller) -> Loaded:
    """Load the context and check permissions at once; either refusal refuses the lesson."""
    loaded, health = await asyncio.gather(
        api.context(caller), api.check_health(caller), return_exceptions=True
    )
    if isinstance(health, BaseException) and not isinstance(health, UnreachableError):
        raise health
    if isinstance(loaded, BaseException):
        raise loaded
    return loaded
