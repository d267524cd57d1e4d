"""Lessons in the host, over a real link and ledger, with a fake job and API."""

import asyncio
from typing import Any

import pytest
import structlog
from tests.unit.lessons.host_under_test import (
    JOB,
    MARIA,
    HostUnderTest,
    Opened,
    always,
    finish,
    join,
    made,
    receive,
    until,
)

from loqua_host.contract.records import Ending, LessonReport, Mode, Performance, Progress
from loqua_host.errors import UnreachableError
from loqua_host.link.messages import (
    ContextLoaded,
    Finish,
    Join,
    ModeChanged,
    ProgressRefused,
    Recorded,
    Welcome,
)
from loqua_host.link.server import JobRef


async def test_a_lesson_goes_from_welcome_to_record(host: HostUnderTest, wall: Any) -> None:
    """PreparedLesson ahead, welcomed, followed, recorded, delivered, released."""
    host.lessons.begin(JOB)
    async with host.job() as link:
        welcome = await join(link)
        assert isinstance(welcome, Welcome)
        assert (welcome.session_id, welcome.learner.user_id) == ("sess_1", "maria")
        assert welcome.language == "es"
        assert welcome.secrets == {"KEY": "own"}
        wall.seconds += 120
        await link.send(made(60, words_learned=2))
        report = LessonReport(progress=Progress(words_learned=5), topics_covered=("food",))
        await link.send(finish(report, seconds=90))
        assert await receive(link) == Recorded()
    await host.delivered()
    [record] = host.loqua.records
    assert (record.session_id, record.duration_minutes) == ("sess_1", 1.5)
    assert record.topics_covered == ("food",)
    assert host.loqua.arrived[-2:] == [("completed", "sess_1"), ("record", "sess_1")]
    assert host.loqua.sent["sess_1"][-1] == Progress(words_learned=5)
    assert host.loqua.leased == 1


async def test_a_crashed_jobs_lesson_is_recorded_from_its_last_progress(
    host: HostUnderTest, wall: Any
) -> None:
    """The end of the link without a farewell is the crash."""
    async with host.job() as link:
        await join(link)
        wall.seconds += 60
        await link.send(made(45, words_learned=3, pronunciation_score=90))
    await host.give_up()
    await host.delivered()
    [record] = host.loqua.records
    assert (record.duration_minutes, record.overall_performance) == (0.75, Performance.EXCELLENT)
    assert host.loqua.arrived[-2:] == [("failed", "sess_1"), ("record", "sess_1")]


@pytest.mark.parametrize("reason", ["voice_failed", "job_failed", "create_agent_failed"])
async def test_the_api_is_told_of_a_failure_before_the_first_tick(
    host: HostUnderTest, reason: str
) -> None:
    """With the outcome that is logged and counted, and a grade that blames nobody."""
    with structlog.testing.capture_logs() as logs:
        async with host.job() as link:
            await join(link)
            await link.send(Finish(ending=Ending(reason=reason, seconds=0), report=None))
            assert await receive(link) == Recorded()
        await host.delivered()
    assert host.loqua.arrived == [("failed", "sess_1"), ("record", "sess_1")]
    assert host.loqua.sent["sess_1"] == [Progress()]
    assert host.loqua.records[0].overall_performance is Performance.FAIR
    [recorded] = [log for log in logs if log["event"] == "lesson.recorded"]
    assert recorded["outcome"] == "failed"


async def test_a_lesson_that_is_given_up_fails_alike_for_the_api_and_for_metrics(
    host: HostUnderTest,
) -> None:
    """Also one that made no progress yet."""
    with structlog.testing.capture_logs() as logs:
        async with host.job() as link:
            await join(link)
        await until(lambda: host.dispatch_state.interrupted("room"))
        await host.give_up()
        await host.delivered()
    assert host.loqua.arrived == [("failed", "sess_1"), ("record", "sess_1")]
    [given_up] = [log for log in logs if log["event"] == "lesson.given_up"]
    assert given_up["outcome"] == "failed"


async def test_a_lesson_begins_without_the_api_and_learns_of_its_return(
    host: HostUnderTest,
) -> None:
    """Mock mode teaches the tutor's own language; a later lease is given back as any other."""
    back = host.loqua.gates["lease_patiently"] = asyncio.Event()
    down = UnreachableError("user-token", "connection refused", sent=False)
    host.loqua.failing = lambda method, _c: (
        down if method == "lease" and not back.is_set() else None
    )
    host.lessons.begin(JOB)
    async with host.job() as link:
        welcome = await join(link)
        assert (welcome.mode, welcome.language) == (Mode.MOCK, "it")
        back.set()
        await until(lambda: host.loqua.held.get(MARIA))
        [listener] = host.loqua.listeners
        listener(MARIA, Mode.FULL)
        assert await receive(link) == ContextLoaded(context=host.loqua.remembers)
        assert await receive(link) == ModeChanged(mode=Mode.FULL)
        await link.send(finish())
        assert await receive(link) == Recorded()
    await host.delivered()
    assert host.loqua.leased == 1


async def test_a_lesson_that_began_without_its_context_is_given_it_once_it_can_be_loaded(
    open_host: Opened, loqua: Any
) -> None:
    """At a health check; one that had it from the beginning is given nothing."""
    loqua.mode = Mode.BASIC
    async with open_host(lessons={"health_every": 0.01}) as host, host.job() as link:
        assert (await join(link)).mode is Mode.BASIC
        loqua.mode = Mode.FULL
        assert await receive(link) == ContextLoaded(context=loqua.remembers)
        await link.send(finish())
        assert await receive(link) == Recorded()


async def test_a_lesson_without_the_api_releases_nothing_that_is_not_its_own(
    host: HostUnderTest,
) -> None:
    """Another lesson of the same learner keeps its token."""
    await host.loqua.lease(MARIA)
    host.loqua.gates["lease_patiently"] = asyncio.Event()
    host.loqua.failing = always("lease", UnreachableError("user-token", "down"))
    host.lessons.begin(JOB)
    async with host.job() as link:
        await join(link, "maria")
        await link.send(finish())
        await receive(link)
    host.lessons.begin(JobRef("other", "room", "conversation"))
    async with host.job(JobRef("other", "room", "conversation")):
        pass
    async with asyncio.timeout(30):
        await host.services.delivery.wait_idle()
    assert host.loqua.held == {MARIA: 1}


async def test_falling_progress_is_refused_and_the_last_good_one_kept(
    host: HostUnderTest, wall: Any
) -> None:
    """Named to the job; neither ledger nor API gets it."""
    async with host.job() as link:
        await join(link)
        wall.seconds += 60
        await link.send(made(30, words_learned=7))
        await link.send(made(31, words_learned=3))
        assert await receive(link) == ProgressRefused(
            why="progress.words_learned: fell from 7 to 3"
        )
        await link.send(finish(LessonReport(progress=Progress(words_learned=1))))
        assert await receive(link) == Recorded()
    await host.delivered()
    assert {progress.words_learned for progress in host.loqua.sent["sess_1"]} == {7}


@pytest.mark.parametrize(("claimed", "minutes"), [(0.0, 0.5), (45.0, 0.75), (1e9, 1.0)])
async def test_the_time_taught_is_no_less_than_told_before_and_no_more_than_passed(
    host: HostUnderTest, wall: Any, claimed: float, minutes: float
) -> None:
    """A job cannot make up time."""
    async with host.job() as link:
        await join(link)
        wall.seconds += 60
        await link.send(made(30))
        await link.send(finish(seconds=claimed))
        assert await receive(link) == Recorded()
    await host.delivered()
    assert host.loqua.records[0].duration_minutes == minutes


@pytest.mark.parametrize("step", [-3600, 3600])
async def test_a_clock_that_is_set_in_a_lesson_changes_nothing_of_what_was_taught(
    host: HostUnderTest, wall: Any, step: float
) -> None:
    """It neither removes nor adds taught time."""
    async with host.job() as link:
        await join(link)
        wall.seconds += 60
        await link.send(made(60))
        await until(lambda: "sess_1" in host.loqua.sent)
        wall.step = step
        wall.seconds += 30
        await link.send(finish(seconds=1000))
        assert await receive(link) == Recorded()
    await host.delivered()
    assert host.loqua.records[0].duration_minutes == 1.5


async def test_a_lesson_of_thirty_hours_is_recorded(host: HostUnderTest, wall: Any) -> None:
    """The record has the maximum that the API accepts."""
    async with host.job() as link:
        await join(link)
        wall.seconds += 30 * 3600
        await link.send(finish(seconds=30 * 3600))
        assert await receive(link) == Recorded()
    await host.delivered()
    assert host.loqua.records[0].duration_minutes == 1440


async def test_a_job_that_does_not_join_first_is_refused(host: HostUnderTest) -> None:
    """No lesson is opened for it."""
    with structlog.testing.capture_logs() as logs:
        async with host.job() as link:
            await link.send(finish())
            assert await receive(link) is None
    assert "link.refused" in [log["event"] for log in logs]
    assert await host.services.ledger.pending_lessons() == {}


async def test_a_second_join_changes_nothing(host: HostUnderTest) -> None:
    """The learner of a lesson stays."""
    async with host.job() as link:
        await join(link)
        await link.send(Join(identity="ana"))
        await link.send(finish())
        assert await receive(link) == Recorded()


async def test_one_failing_lesson_leaves_the_others_alone(host: HostUnderTest) -> None:
    """Garbage and a crash in one; the other is recorded as if alone."""
    other = JobRef("other", "room", "grammar")
    async with host.job() as honest:
        await join(honest)
        async with host.job(other) as bad:
            await join(bad)
            await bad._socket.send_str("x" * 10_000)
            await bad._socket.send_bytes(b"\0")
        await honest.send(made(words_learned=1))
        await honest.send(finish())
        assert await receive(honest) == Recorded()
    await host.give_up()
    await host.delivered()
    assert len(host.loqua.records) == 2


async def test_the_language_of_a_learner_without_a_slot_is_known(host: HostUnderTest) -> None:
    """It is the learner's or the tutor's; the query opens, leases and closes nothing."""
    assert await host.lessons.language_for("room", "conversation", "maria") == "es"
    assert await host.lessons.language_for("room", "conversation", "nobody") == "it"
    await host.delivered()
    assert host.dispatch_state.closed_entries("room") == frozenset()
    assert host.lessons.live() == []
