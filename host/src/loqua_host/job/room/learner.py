"""The learner, as the job sees it come into the room."""

import asyncio

from livekit import rtc
from livekit.agents import JobContext

from loqua_host.errors import LearnerError

__all__ = ["may_learn", "wait_for_learner"]

LEARNERS = [
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
]


def may_learn(participant: rtc.RemoteParticipant) -> bool:
    """Return whether the host may take a participant for a learner: nobody who only looks on."""
    rights = participant.permissions
    observes = rights.can_subscribe and not (rights.can_publish or rights.can_publish_data)
    return participant.kind in LEARNERS and not observes


async def wait_for_learner(ctx: JobContext, seconds: float) -> rtc.RemoteParticipant:
    """Wait until a learner is in the room; `remote_participants` may still be empty then.

    Raises:
        LearnerError: If none came in time.
    """
    try:
        async with asyncio.timeout(seconds):
            first = await ctx.wait_for_participant(kind=LEARNERS)
            return first if may_learn(first) else await _wait_for_another(ctx.room)
    except TimeoutError:
        raise LearnerError(
            "no_learner",
            f"no learner entered the room within {seconds:g} s; see that the learner's token is "
            "for this room, or raise lessons.learner_timeout in config/host.yaml",
        ) from None
    except RuntimeError as error:
        raise LearnerError("no_learner", f"no learner entered the room: {error}") from error


async def _wait_for_another(room: rtc.Room) -> rtc.RemoteParticipant:
    """Wait until somebody who may learn is in a room with an observer."""
    entered: asyncio.Future[rtc.RemoteParticipant] = asyncio.get_running_loop().create_future()

    def look(participant: rtc.RemoteParticipant) -> None:
        if may_learn(participant) and not entered.done():
            entered.set_result(participant)

    room.on("participant_connected", look)
    try:
        for participant in room.remote_participants.values():
            look(participant)
        return await entered
    finally:
        room.off("participant_connected", look)
