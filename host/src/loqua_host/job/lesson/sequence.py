"""The order of what happens in a lesson, and what follows from each failure.

Everything that runs a lesson, or describes one, has the order from here: `run_lesson` is given the
steps (`Steps`) and takes them. A lesson that nothing disturbs is

    create_agent · start_session · take_floor · on_user_ready ·
    on_progress_tick · send_checkpoint · … ·
    stop_watching · wait_for_playout · take_last_words · close_session · on_session_end · deliver

and the host's README.md shows what follows from each failure. A step that runs foreign code raises
`HookFailedError` for whatever that does; no other step raises for a reason that is foreseen.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from enum import StrEnum
from itertools import count
from typing import Final, Protocol

import structlog

from loqua_host.contract.records import Ending, LessonReport, Progress
from loqua_host.errors import HookFailedError
from loqua_host.system.tasks import uncancelled

__all__ = [
    "REASONS",
    "AfterLesson",
    "Reason",
    "Steps",
    "after_lesson",
    "run_lesson",
    "run_until_ended",
    "tick",
]

log = structlog.get_logger()


class Reason(StrEnum):
    """The reasons for which the job ends a lesson; tutor and host have reasons of their own.

    The record of a lesson whose reason ends in `_failed` says so to the API.
    """

    LEARNER_LEFT = "learner_left"
    LEARNER_SILENT = "learner_silent"
    TIME_IS_UP = "time_is_up"
    ROOM_CLOSED = "room_closed"
    VOICE_CLOSED = "voice_closed"
    VOICE_LOST = "voice_lost"
    VOICE_FAILED = "voice_failed"
    AGENT_FAILED = "agent_failed"
    CREATE_AGENT_FAILED = "create_agent_failed"
    ON_USER_READY_FAILED = "on_user_ready_failed"
    JOB_FAILED = "job_failed"
    CONNECTION_LOST = "connection_lost"
    HOST_LOST = "host_lost"
    CAPACITY_NEEDED = "capacity_needed"


REASONS: Final = {
    Reason.LEARNER_LEFT: "the learner did not return in time",
    Reason.LEARNER_SILENT: "the learner did not answer the silence prompt",
    Reason.TIME_IS_UP: "the lesson reached its maximum duration",
    Reason.ROOM_CLOSED: "the room was closed or the tutor removed",
    Reason.VOICE_CLOSED: "the tutor closed its session",
    Reason.VOICE_LOST: "an engine failed or the voice session hung",
    Reason.VOICE_FAILED: "the same, in the last job that tries the lesson",
    Reason.AGENT_FAILED: "the agent's callbacks failed in several turns in a row",
    Reason.CREATE_AGENT_FAILED: "`create_agent` failed",
    Reason.ON_USER_READY_FAILED: "`on_user_ready` failed",
    Reason.JOB_FAILED: "an unexpected error in the job",
    Reason.CONNECTION_LOST: "the job lost LiveKit or was cancelled",
    Reason.HOST_LOST: "the job lost its connection to the host",
    Reason.CAPACITY_NEEDED: "the learner is away and another one waits",
}
"""The meaning of each reason."""


class AfterLesson(StrEnum):
    """The state of a lesson after its job has ended."""

    RECORD = "recorded"
    RECORD_OR_RESUME = "recorded, or resumed by the next job if the learner returns"
    RESUME = "resumed by the next job"


def after_lesson(reason: str) -> AfterLesson:
    """Return what becomes of a lesson that ends for a reason."""
    if reason in {Reason.CONNECTION_LOST, Reason.VOICE_LOST}:
        return AfterLesson.RESUME
    return AfterLesson.RECORD_OR_RESUME if reason == Reason.CAPACITY_NEEDED else AfterLesson.RECORD


class Steps(Protocol):
    """The steps of a lesson; `run_lesson` determines their order."""

    reason: str | None
    """The reason the lesson has been ended for, None while nobody has ended it."""

    async def until_ended(self, teaching: Coroutine[None, None, None]) -> None:
        """Run `teaching` and its background tasks until the lesson ends."""

    async def create_agent(self) -> None:
        """Call the tutor's `create_agent`."""

    async def start_session(self) -> None:
        """Start the voice session, with a silent agent if there is no other; once."""

    async def take_floor(self) -> None:
        """Wait until no other tutor speaks."""

    async def on_user_ready(self) -> None:
        """Call the tutor's `on_user_ready`."""

    async def until_tick(self) -> None:
        """Wait for the time of the next progress tick."""

    async def on_progress_tick(self, number: int) -> Progress | None:
        """Call the tutor's `on_progress_tick`."""

    async def send_checkpoint(self, progress: Progress | None = None) -> None:
        """Send the host the checkpoint from which another job could continue."""

    async def say_unavailable(self) -> None:
        """Announce that the lesson cannot continue."""

    def end(self, reason: str) -> None:
        """End the lesson, unless it has been ended already."""

    async def leave_room(self) -> None:
        """Leave the room, so that no tutor stays that neither hears nor speaks."""

    def stop_watching(self) -> None:
        """Stop the clock and whatever follows room and session."""

    def fall_silent(self) -> None:
        """Cut off what is being said."""

    async def wait_for_playout(self) -> None:
        """Wait until a present learner has heard what is being said."""

    async def take_last_words(self) -> None:
        """Commit what the learner has said so far as a turn."""

    async def close_session(self) -> None:
        """Close the voice session."""

    def ending(self, reason: str) -> Ending:
        """Return how the lesson ended, for the tutor and the record."""

    async def on_session_end(self, ending: Ending) -> LessonReport | None:
        """Call the tutor's `on_session_end`."""

    async def deliver(
        self, ending: Ending, report: LessonReport | None, *, resumable: bool
    ) -> None:
        """Send the host what the record is made from, and wait until it is in the ledger."""

    async def report_connection_lost(self) -> None:
        """Notify the host that the lesson is left to another job."""


async def run_lesson(steps: Steps, *, failing_ticks: int) -> None:
    """Run a lesson from its first step to its last, whatever happens.

    Args:
        steps: What is done.
        failing_ticks: Failed ticks in a row after which they stop.
    """
    unforeseen = Reason.JOB_FAILED
    try:
        await steps.until_ended(run_until_ended(steps, failing_ticks=failing_ticks))
    except asyncio.CancelledError:
        # LiveKit cancels a job whose host died, and one that it takes to have left the room
        # (livekit/livekit#4887): no ghost stays until all below is over.
        await steps.leave_room()
        unforeseen = Reason.CONNECTION_LOST
        raise
    finally:
        # LiveKit also cancels a job that ends slowly: without this, there would be no record.
        reason = unforeseen if steps.reason is None else steps.reason
        await uncancelled(_finish(steps, reason))


async def run_until_ended(steps: Steps, *, failing_ticks: int) -> None:
    """Start to teach, then tick regularly; end the lesson if it cannot start."""
    try:
        await steps.create_agent()
        await steps.start_session()
        await steps.take_floor()
        await steps.on_user_ready()
    except HookFailedError as failure:
        await steps.start_session()
        await steps.say_unavailable()
        steps.end(f"{failure.hook}_failed")
        return
    await tick(steps, failing_ticks)


async def tick(steps: Steps, most_failures: int) -> None:
    """Request progress until cancelled; a lesson whose ticks fail continues without them."""
    failures = 0
    for number in count(1):
        await steps.until_tick()
        progress = None
        try:
            progress = await steps.on_progress_tick(number)
            failures = 0
        except HookFailedError:
            failures += 1
        await steps.send_checkpoint(progress)
        if failures == most_failures:
            log.error("lesson.ticks_stopped", failed=failures)
            return


async def _finish(steps: Steps, reason: str) -> None:
    after = after_lesson(reason)
    if reason == Reason.HOST_LOST:
        # LiveKit's own shutdown tells its dead parent first, fails, and would leave a ghost.
        await steps.leave_room()
    steps.stop_watching()
    if after is AfterLesson.RESUME:
        steps.fall_silent()  # a voice that is stuck would be waited for
        await steps.take_last_words()
        await steps.send_checkpoint()
        lost = reason == Reason.CONNECTION_LOST
        # The host takes a job that leaves without a report for a crashed one.
        await (steps.report_connection_lost() if lost else steps.leave_room())
        return
    await steps.wait_for_playout()
    await steps.take_last_words()
    await steps.close_session()
    resumable = after is AfterLesson.RECORD_OR_RESUME
    if resumable:
        await steps.send_checkpoint()
    ending = steps.ending(Reason.LEARNER_LEFT if resumable else reason)
    report = None  # without one, the record is made from the last progress
    with suppress(HookFailedError):
        report = await steps.on_session_end(ending)
    await steps.deliver(ending, report, resumable=resumable)
