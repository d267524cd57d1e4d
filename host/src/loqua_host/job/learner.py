"""The learner, as the job sees it come into the room."""

import asyncio

from livekit import rtc
from livekit.agents import JobContext

from loqua_host.errors import LearnerError

__all__ = ["wait_for_learner"]

LEARNERS = [
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
]


async def wait_for_learner(ctx: JobContext, seconds: float) -> rtc.RemoteParticipant:
    """Wait until a learner is in the room; `remote_participants` may still be empty then.

    Raises:
        LearnerError: If none came in time.
    """
    try:
        async with asyncio.timeout(seconds):
            return await ctx.wait_for_participant(kind=LEARNERS)
    except TimeoutError:
        raise LearnerError(
            "no_learner",
            f"no learner entered the room within {seconds:g} s; see that the learner's token is "
            "for this room, or raise lessons.learner_timeout in config/host.yaml",
        ) from None
    except RuntimeError as error:
        raise LearnerError("no_learner", f"no learner entered the room: {error}") from error
