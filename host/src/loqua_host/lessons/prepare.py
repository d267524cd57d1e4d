"""Prepare a lesson: verify the learner, exchange the token, load the context."""

import asyncio
from dataclasses import dataclass

import structlog

from loqua_host.contract.learner import Learner, LearnerContext
from loqua_host.contract.records import Mode
from loqua_host.core import Caller, Loaded, LoquaApi
from loqua_host.errors import UnreachableError
from loqua_host.rooms.learners import pick_learner
from loqua_host.rooms.rooms import Rooms

__all__ = ["Prepared", "prepare"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A lesson that can start: the caller's token is leased, the context loaded."""

    learner: Learner
    caller: Caller
    context: LearnerContext
    mode: Mode


async def prepare(
    rooms: Rooms, api: LoquaApi, *, room: str, agent_id: str, identity: str | None
) -> Prepared:
    """Prepare a lesson for the learner of that identity, or for the first in the room.

    The lease on the caller's token is the receiver's to release.

    Raises:
        LearnerError: If no participant can be taught.
        RefusedError: If the API refuses agent, learner or permission.
    """
    learner = pick_learner(await rooms.participants(room), identity)
    caller = Caller(user_id=learner.user_id, room=room, agent_id=agent_id)
    log.info("learner.found", user_id=learner.user_id, agent_id=agent_id, room=room)
    try:
        await api.lease(caller)
    except UnreachableError as error:
        log.warning("lesson.without_api", user_id=learner.user_id, why=str(error))
        return Prepared(learner, caller, LearnerContext(), Mode.MOCK)
    try:
        loaded = await _load(api, caller)
    except BaseException:
        api.release(caller)
        raise
    return Prepared(learner, caller, loaded.context, loaded.mode)


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
