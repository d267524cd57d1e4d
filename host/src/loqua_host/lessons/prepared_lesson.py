"""Prepare a lesson: verify the learner, exchange the token, load the context."""

import asyncio
from dataclasses import dataclass
from uuid import uuid4

import structlog
from opentelemetry import trace
from pydantic import TypeAdapter, ValidationError

from loqua_host.contract.learner import Learner, LearnerContext
from loqua_host.contract.records import Mode, SessionId
from loqua_host.core import Caller, Loaded, LoquaApi
from loqua_host.errors import UnreachableError
from loqua_host.records.ledger import LessonRow
from loqua_host.records.traces import current_trace
from loqua_host.rooms.learners import pick_learner
from loqua_host.rooms.rooms import Rooms

from .metrics import LessonMetrics

__all__ = ["PreparedLesson", "new_lesson", "prepare"]

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")

LONGEST_VISIT = 512
"""Characters of `sessionId`; a second lesson's id has the tutor's name and a number besides."""

_SESSION_ID: TypeAdapter[str] = TypeAdapter(SessionId)


@dataclass(frozen=True, slots=True)
class PreparedLesson:
    """A lesson that can start: the context is loaded as far as the API was in reach.

    Attributes:
        entry: LiveKit's `sid` of the learner's entry into the room.
        visit: What the learner's `sessionId` says, or an id of the host's own.
        leased: Whether the caller's token is leased, and to be released by the receiver.
    """

    learner: Learner
    caller: Caller
    context: LearnerContext
    mode: Mode
    leased: bool
    entry: str
    visit: str

    @property
    def ids(self) -> dict[str, str]:
        """What log lines say of the lesson until it is opened."""
        return _ids(self.learner, self.visit)

    @property
    def known(self) -> LearnerContext | None:
        """The learner's context, unless it is made up for want of an API."""
        return self.context if self.mode in (Mode.FULL, Mode.CACHE) else None


def new_lesson(prepared: PreparedLesson, tutor: str, now: float) -> LessonRow:
    """Return the lesson that a tutor begins with a learner, in unix seconds."""
    return LessonRow(
        id=uuid4().hex,
        session_id=prepared.visit,
        visit=prepared.visit,
        user_id=prepared.caller.user_id,
        room=prepared.caller.room,
        tutor=tutor,
        agent_id=prepared.caller.agent_id,
        opened_at=now,
        entry=prepared.entry,
        state=current_trace(),
    )


def _visit(learner: Learner) -> str:
    """Return the learner's `sessionId` unchanged, or a new one where it cannot be sent."""
    given = learner.attributes.get("sessionId", "")
    if not given:
        return f"visit_{uuid4().hex}"
    if why := _fault(given):
        log.warning("attribute.refused", attribute="sessionId", why=why, hint=_OWN_VISIT)
        return f"visit_{uuid4().hex}"
    return given


_OWN_VISIT = "the lesson has an id of the host's own; have the API give learners another"


def _fault(visit: str) -> str | None:
    """Return why a `sessionId` cannot be sent, without a word of it."""
    if len(visit) > LONGEST_VISIT:
        return f"has more than {LONGEST_VISIT} characters"
    if visit.isspace():
        return "is blank"
    try:
        _SESSION_ID.validate_python(visit)
    except ValidationError:
        return "has control characters, line ends or marks that turn the direction of text"
    return None


def _ids(learner: Learner, visit: str) -> dict[str, str]:
    ids = {"user_id": learner.user_id}
    # One of the host's own counts only once a lesson is opened with it.
    return ids | {"session_id": visit} if learner.attributes.get("sessionId") == visit else ids


async def prepare(
    rooms: Rooms,
    api: LoquaApi,
    metrics: LessonMetrics,
    *,
    room: str,
    agent_id: str,
    identity: str | None,
) -> PreparedLesson:
    """Prepare a lesson for the learner of that identity, or for the first in the room.

    Who the learner is is bound in the log lines of this task.

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
    visit = _visit(learner)
    structlog.contextvars.bind_contextvars(**_ids(learner, visit))
    log.info("learner.found")
    try:
        await api.lease(caller)
    except UnreachableError as error:
        metrics.without_api.inc()
        log.warning("lesson.without_api", why=str(error))
        known = api.remembered(caller)
        return PreparedLesson(
            learner, caller, known.context, known.mode, leased=False, entry=entry, visit=visit
        )
    try:
        loaded = await _load(api, caller)
    except BaseException:
        api.release(caller)
        raise
    return PreparedLesson(
        learner, caller, loaded.context, loaded.mode, leased=True, entry=entry, visit=visit
    )


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
