"""Metrics of lessons: starts, interruptions, refusals and ends."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.lessons.host_under_test import (
    JOB,
    HostUnderTest,
    always,
    finish,
    join,
    receive,
    until,
)

from loqua_host.contract.records import Ending, LessonReport, Progress
from loqua_host.errors import RefusedError, UnreachableError
from loqua_host.link.messages import (
    CallbackFailed,
    EngineServes,
    Finish,
    HookTimed,
    Recorded,
    StepOut,
    SteppedOut,
    VoiceTimed,
    WrapUp,
)
from loqua_host.link.server import JobRef
from loqua_host.observability.metrics import Instruments

Counted = Callable[..., float]
AGAIN = JobRef("job2", "room", "conversation")


@pytest.fixture
def counted(instruments: Instruments) -> Counted:
    """Return what reads a metric, of the tutor `conversation` by default."""
    instruments.add_tutors(["conversation"])

    def read(name: str, tutor: str | None = "conversation", **labels: str) -> float:
        by = {"tutor": tutor, **labels} if tutor else labels
        value = instruments.registry.get_sample_value(f"loqua_{name}", by)
        assert value is not None, name
        return value

    return read


def ready(after: float, *, failed: bool = False) -> HookTimed:
    """Return what a job tells of its first hook with the learner."""
    return HookTimed(hook="on_user_ready", after=after, seconds=0.5, failed=failed)


async def test_a_lesson_is_timed_from_its_accepted_job_to_its_tutors_first_hook(
    host: HostUnderTest, wall: Any, counted: Counted
) -> None:
    """Once, by the first that succeeds."""
    host.lessons.begin(JOB)
    wall.seconds += 1.5
    async with host.job() as link:
        await join(link)
        wall.seconds += 9
        assert counted("lesson_ready_seconds_count") == 0
        await link.send(ready(0.25, failed=True))
        await link.send(ready(0.75))
        await link.send(ready(7))
        await until(lambda: counted("hook_seconds_count", hook="on_user_ready") == 3)
    assert counted("lesson_ready_seconds_sum") == 2.25
    assert counted("lesson_ready_seconds_count") == 1
    assert counted("lesson_restore_seconds_count") == 0
    assert counted("lessons_opened_total") == 1


async def test_a_lesson_is_timed_from_its_lost_tutor_to_the_next(
    host: HostUnderTest, wall: Any, counted: Counted
) -> None:
    """Both count as what they are."""
    async with host.job() as link:
        await join(link)
    await until(lambda: host.dispatch_state.interrupted("room"))
    assert counted("lessons_interrupted_total") == 1
    wall.seconds += 4
    async with host.job(AGAIN) as link:
        await join(link)
        await link.send(ready(0.5))
        await until(lambda: counted("hook_seconds_count", hook="on_user_ready") == 1)
    assert counted("lesson_restore_seconds_sum") == 4.5
    assert counted("lesson_restore_seconds_count") == counted("lessons_resumed_total") == 1
    assert counted("lesson_ready_seconds_count") == 0  # of a job that this host never accepted


async def test_a_learner_who_stayed_away_is_no_lost_tutor(
    host: HostUnderTest, wall: Any, counted: Counted
) -> None:
    """The time is theirs, and nothing was interrupted."""
    async with host.job() as link:
        welcome = await join(link)
        await host.lessons.step_out(welcome.lesson, wall.monotonic())
        assert await receive(link) == StepOut()
        ending = Ending(reason="learner_left", seconds=0)
        await link.send(SteppedOut(ending=ending, report=None))
        assert await receive(link) == Recorded()
    await until(lambda: host.dispatch_state.interrupted("room"))
    wall.seconds += 60
    async with host.job(AGAIN) as link:
        await join(link)
        await link.send(ready(0.5))
        await until(lambda: counted("hook_seconds_count", hook="on_user_ready") == 1)
    assert counted("lesson_restore_seconds_count") == 0


async def test_an_ended_lesson_counts_with_its_time_and_what_was_achieved(
    host: HostUnderTest, wall: Any, counted: Counted
) -> None:
    """With the outcome that the API gets."""
    report = LessonReport(achievements=("first_words",), progress=Progress(words_learned=3))
    async with host.job() as link:
        await join(link)
        wall.seconds += 100
        await link.send(finish(report, seconds=60))
        assert await receive(link) == Recorded()
    await until(lambda: counted("lessons_ended_total", outcome="completed") == 1)
    assert counted("lesson_engagement_seconds_sum") == 60
    assert counted("lesson_objectives_total") == 1


async def test_a_lesson_that_failed_achieved_nothing(host: HostUnderTest, counted: Counted) -> None:
    """It counts as failed, also where it was given up after its tutor was lost."""
    async with host.job() as link:
        await join(link)
        await link.send(Finish(ending=Ending(reason="hook_failed", seconds=0), report=None))
        assert await receive(link) == Recorded()
    host.rooms.inside["room"][0].attributes["sessionId"] = "sess_2"
    async with host.job(AGAIN) as link:
        await join(link)
    await host.give_up()
    await until(lambda: counted("lessons_given_up_total", why="learner_left") == 1)
    assert counted("lessons_ended_total", outcome="failed") == 2
    assert counted("lesson_objectives_total") == 0


async def test_hooks_and_voices_are_timed_and_the_tutors_failures_counted(
    host: HostUnderTest, counted: Counted
) -> None:
    """Failures outside of hooks as if all of them were one; of a reply those stages that were."""
    async with host.job() as link:
        await join(link)
        for seconds, failed in ((0.5, False), (5.0, True)):
            timed = HookTimed(hook="on_progress_tick", after=1, seconds=seconds, failed=failed)
            await link.send(timed)
        await link.send(VoiceTimed(stages={"reply": 1.5, "speaking": 0.25}))
        await link.send(CallbackFailed())
        await until(lambda: counted("hook_failures_total", hook="callback") == 1)
    assert counted("hook_seconds_sum", hook="on_progress_tick") == 5.5
    assert counted("hook_failures_total", hook="on_progress_tick") == 1
    assert counted("voice_seconds_sum", stage="reply") == 1.5
    assert counted("voice_seconds_count", stage="speaking") == 1
    assert counted("voice_seconds_count", stage="thinking") == 0


async def test_engines_that_take_over_are_counted(host: HostUnderTest, counted: Counted) -> None:
    """By where they are in their list; the first one from the start is no news."""
    async with host.job() as link:
        await join(link)
        for index in (0, 1, 2, 0):
            await link.send(EngineServes(kind="tts", index=index))
        await until(lambda: counted("engine_switches_total", kind="tts", to="first") == 1)
    assert counted("engine_switches_total", kind="tts", to="fallback") == 2


async def test_a_refused_lesson_is_counted_by_its_cause(
    host: HostUnderTest, counted: Counted
) -> None:
    """None has begun."""
    host.loqua.failing = always("lease", RefusedError("user-token", "not found", status=404))
    async with host.job() as link:
        await join(link)
    assert counted("lessons_refused_total", None, cause="user-token_refused") == 1
    assert counted("lessons_opened_total") == 0


async def test_a_lesson_that_began_without_the_api_and_is_refused_by_it_later_counts_as_both(
    host: HostUnderTest, counted: Counted
) -> None:
    """Its learner is notified in the middle of it."""
    back = host.loqua.gates["lease_patiently"] = asyncio.Event()
    host.loqua.failing = always("lease", UnreachableError("user-token", "down"))
    async with host.job() as link:
        await join(link)
        assert counted("lessons_without_api_total", None) == 1
        refusal = RefusedError("user-token", "no", status=403)
        host.loqua.failing = always("lease_patiently", refusal)
        back.set()
        assert isinstance(await receive(link), WrapUp)
    assert counted("lessons_refused_total", None, cause="user-token_refused") == 1
