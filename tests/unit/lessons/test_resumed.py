"""Lessons resumed after a crash, or given up."""

from collections.abc import Callable
from typing import Any

import pytest
import structlog
from tests.unit.lessons.host_under_test import (
    JOB,
    HostUnderTest,
    Opened,
    finish,
    join,
    learner,
    made,
    receive,
    until,
)

from loqua_host.contract.handoff import Utterance
from loqua_host.contract.records import Ending, LessonReport, Progress
from loqua_host.lessons.recovery import recover
from loqua_host.link.messages import (
    Checkpoint,
    ConnectionLost,
    Join,
    Recorded,
    StepOut,
    SteppedOut,
    Welcome,
)
from loqua_host.link.server import JobRef
from loqua_host.records.ledger import MAX_CRASHES, Ledger

SAID = (Utterance(speaker="tutor", text="¿Qué tal?"), Utterance(speaker="learner", text="Bien."))


async def test_a_lesson_whose_host_is_gone_is_left_to_the_next(
    open_host: Opened, ledger: Ledger, wall: Any
) -> None:
    """The next host resumes it like after a crash."""
    async with open_host() as host:
        connected = host.job()
        link = await connected.__aenter__()
        await join(link)
        wall.seconds += 60
        await link.send(made(30, words_learned=3))
        await until(lambda: host.loqua.arrived)
        host.lessons.withdraw()
        await host.leave(JOB, within=0)
        await host.lessons.cut_off([JOB.job_id])
        await connected.__aexit__(None, None, None)
        await until(lambda: not host.lessons.live())
        assert host.dispatch_state.interrupted("room") == ()
    assert await ledger.interrupted() == []
    assert await ledger.take_over({"conversation"}) == 1
    [left] = await ledger.interrupted()
    assert (left.seconds, left.crashes, left.progress) == (30, 0, Progress(words_learned=3))


async def test_a_tutor_that_comes_back_goes_on_where_the_lesson_was(
    host: HostUnderTest, wall: Any
) -> None:
    """Same lesson and record, time taught, progress and notes; a restart is counted."""
    async with host.job() as link:
        first = await join(link)
        wall.seconds += 60
        await link.send(made(45, words_learned=3))
        await until(lambda: host.loqua.arrived)
    await until(lambda: host.dispatch_state.interrupted("room"))
    async with host.job(JobRef("job2", "room", "conversation")) as link:
        again = await join(link)
        await link.send(finish(LessonReport(progress=Progress(words_learned=5)), seconds=50))
        assert await receive(link) == Recorded()
    await host.delivered()
    assert (again.lesson, again.session_id) == (first.lesson, first.session_id)
    assert (again.resumed, again.seconds, again.state) == (True, 45, {"scene": 1})
    assert again.progress == Progress(words_learned=3)
    assert not first.resumed
    [record] = host.loqua.records
    assert record.session_id == "sess_1"


async def test_a_checkpoint_without_progress_is_kept_and_the_api_hears_nothing_of_it(
    host: HostUnderTest,
) -> None:
    """A tutor that reports no progress, and crashes twice, goes on where it was each time."""
    jobs = [JobRef(f"job{number}", "room", "conversation") for number in range(3)]
    for number, job in enumerate(jobs[:2], start=1):
        async with host.job(job) as link:
            welcome = await join(link)
            assert welcome.state == ({"card": number - 1} if number > 1 else {})
            await link.send(Checkpoint(seconds=0, state={"card": number}, turns=SAID))
            await link.send(Checkpoint(seconds=0, turns=SAID[:1]))
        await until(lambda: host.dispatch_state.interrupted("room"))
    async with host.job(jobs[2]) as link:
        again = await join(link)
        assert (again.state, again.turns, again.progress) == ({"card": 2}, SAID[:1], None)
        await link.send(finish())
        assert await receive(link) == Recorded()
    await host.delivered()
    assert [kind for kind, _ in host.loqua.arrived] == ["record"]


@pytest.mark.parametrize("step", [-3600, 3600])
async def test_a_resumed_lesson_lasts_as_long_as_its_parts_together(
    host: HostUnderTest, wall: Any, step: float
) -> None:
    """However long the tutor was away, and whatever the clock was set to meanwhile."""
    async with host.job() as link:
        await join(link)
        wall.seconds += 60
        await link.send(made(60))
        await until(lambda: "sess_1" in host.loqua.sent)
    await until(lambda: host.dispatch_state.interrupted("room"))
    wall.step = step
    wall.seconds += 20
    async with host.job(JobRef("job2", "room", "conversation")) as link:
        await join(link)
        wall.seconds += 30
        await link.send(finish(seconds=1000))
        assert await receive(link) == Recorded()
    await host.delivered()
    assert host.loqua.records[0].duration_minutes == 1.5


async def test_a_start_closes_what_a_dead_host_left_open(
    open_host: Opened, ledger: Ledger, loqua: Any, a_lesson: Callable[..., Any]
) -> None:
    """Also a lesson whose clock ran for days; its record is delivered with a fresh token."""
    for number in (1, 2):
        row = await ledger.open_lesson(a_lesson(number), "")
        await ledger.interrupt(row)
    await ledger.save_progress(a_lesson(1), 200_000.0, Progress(words_learned=4), {})
    async with open_host() as host:
        await recover(host.services)
        for one in host.dispatch_state.interrupted("room1") + host.dispatch_state.interrupted(
            "room2"
        ):
            await host.lessons.close(one.row, "learner_left")
        await host.delivered()
    assert {record.session_id: record.duration_minutes for record in loqua.records} == {
        "visit1": 1440,
        "visit2": 0,
    }
    assert ("failed", "visit1") in loqua.arrived


async def test_a_restored_tutor_knows_what_was_said_last(host: HostUnderTest) -> None:
    """Beside its own notes, which it gets back as it wrote them."""
    async with host.job() as link:
        assert (await join(link)).turns == ()
        await link.send(made(words_learned=1).model_copy(update={"turns": SAID}))
        await until(lambda: host.services.delivery and host.loqua.sent)
    await until(lambda: host.dispatch_state.interrupted("room"))
    async with host.job(JobRef("job2", "room", "conversation")) as link:
        welcome = await join(link)
        assert (welcome.turns, welcome.state) == (SAID, {"scene": 1})


async def test_a_learner_whose_tutor_crashes_again_and_again_hears_an_apology(
    host: HostUnderTest,
) -> None:
    """In the lesson's language; the record is written, and nothing is opened any more."""
    for number in range(MAX_CRASHES):
        async with host.job(JobRef(f"job{number}", "room", "conversation")) as link:
            assert isinstance(await join(link), Welcome)
        await until(lambda: host.dispatch_state.interrupted("room"))
    async with host.job(JobRef("last", "room", "conversation")) as link:
        refused = await join(link)
    assert (refused.cause, refused.language) == ("crash_loop", "es")
    await host.delivered()
    assert len(host.loqua.records) == 1
    assert await host.services.ledger.interrupted() == []


async def test_a_lesson_outlives_a_livekit_that_is_started_again_and_again(
    host: HostUnderTest,
) -> None:
    """Its jobs say that they lost LiveKit: only those that crash count towards a crash loop."""
    for number in range(3 * MAX_CRASHES):
        async with host.job(JobRef(f"job{number}", "room", "conversation")) as link:
            assert isinstance(await join(link), Welcome)
            await link.send(ConnectionLost())
        await until(lambda: host.dispatch_state.interrupted("room"))
    for number in range(MAX_CRASHES):
        async with host.job(JobRef(f"crash{number}", "room", "conversation")) as link:
            assert isinstance(await join(link), Welcome)
        await until(lambda: host.dispatch_state.interrupted("room"))
    async with host.job(JobRef("last", "room", "conversation")) as link:
        assert (await join(link)).cause == "crash_loop"


@pytest.mark.parametrize("by_the_last_call", [True, False])
async def test_a_dispatch_that_is_served_late_or_twice_begins_nothing_after_a_crash_loop(
    host: HostUnderTest, by_the_last_call: bool
) -> None:
    """Whether the last call gave it up or that did not come in time; entering again is new."""
    host.rooms.inside["room"] = [learner(sid="PA_1")]
    for number in range(MAX_CRASHES):
        async with host.job(JobRef(f"job{number}", "room", "conversation")) as link:
            assert isinstance(await join(link), Welcome)
        await until(lambda: host.dispatch_state.interrupted("room"))
    if not by_the_last_call:
        await host.give_up()
    for name in ("one", "other"):
        async with host.job(JobRef(name, "room", "conversation")) as link:
            assert (await join(link)).cause == "crash_loop"
    await host.delivered()
    assert len(host.loqua.records) == 1
    host.rooms.inside["room"] = [learner(sid="PA_2")]
    async with host.job(JobRef("again", "room", "conversation")) as link:
        welcome = await join(link)
        assert (welcome.resumed, welcome.session_id) == (False, "sess_1.conversation")
        await link.send(finish())
        await receive(link)


AWAY = SteppedOut(
    ending=Ending(reason="learner_left", seconds=50),
    report=LessonReport(topics_covered=("food",), progress=Progress(words_learned=5)),
)


async def step_out(host: HostUnderTest, wall: Any) -> None:
    """Request that a lesson whose learner left 8 s before steps out."""
    async with host.job() as link:
        await join(link)
        wall.seconds += 60
        await link.send(made(45, words_learned=3))
        [row] = host.lessons.running("room")
        await host.lessons.step_out(row.id, wall.monotonic() - 8)
        assert await receive(link) == StepOut()
        await link.send(AWAY)
        assert await receive(link) == Recorded()
        assert host.lessons.running("room") == []
    await until(lambda: host.dispatch_state.interrupted("room"))


async def test_a_lesson_that_was_stepped_out_of_goes_on_when_its_learner_returns(
    host: HostUnderTest, wall: Any
) -> None:
    """It resumes like after a crash, as one lesson with one record."""
    with structlog.testing.capture_logs() as logs:
        await step_out(host, wall)
    [lost] = host.dispatch_state.interrupted("room")
    assert (lost.row.crashes, lost.since) == (0, wall.monotonic() - 8)
    assert [line["event"] for line in logs if line["log_level"] in ("error", "warning")] == []
    async with host.job(JobRef("job2", "room", "conversation")) as link:
        again = await join(link)
        assert (again.resumed, again.seconds, again.state) == (True, 50, {"scene": 1})
        assert again.progress == Progress(words_learned=5)
        await link.send(finish(LessonReport(topics_covered=("work",)), seconds=55))
        assert await receive(link) == Recorded()
    await host.delivered()
    [record] = host.loqua.records
    assert (record.session_id, record.topics_covered) == ("sess_1", ("work",))


async def test_a_learner_who_does_not_return_has_the_record_that_the_tutor_left(
    host: HostUnderTest, wall: Any
) -> None:
    """Once, and as of a lesson that ended well: they left, and that is how most lessons end."""
    await step_out(host, wall)
    with structlog.testing.capture_logs() as logs:
        await host.give_up()
        await host.delivered()
    [record] = host.loqua.records
    assert (record.topics_covered, record.duration_minutes) == (("food",), 0.83)
    assert ("completed", "sess_1") in host.loqua.arrived
    [recorded] = [line for line in logs if line["event"] == "lesson.recorded"]
    assert (recorded["reason"], recorded["outcome"]) == ("learner_left", "completed")
    assert "lesson.given_up" not in [line["event"] for line in logs]


async def test_a_host_that_is_started_again_knows_what_the_tutor_left(
    open_host: Opened, wall: Any
) -> None:
    """It was in the ledger before the job went."""
    async with open_host() as host:
        await step_out(host, wall)
    async with open_host() as host:
        await recover(host.services)
        await host.give_up()
        await host.services.delivery.wait_idle()
        assert host.loqua.records[0].topics_covered == ("food",)


async def test_a_tutor_that_crashes_after_it_was_brought_back_leaves_its_last_progress(
    host: HostUnderTest, wall: Any
) -> None:
    """Progress from before the first crash is not the last."""
    await step_out(host, wall)
    async with host.job(JobRef("job2", "room", "conversation")) as link:
        await join(link)
        await link.send(made(51, words_learned=6))
        await until(lambda: ("in_progress", "sess_1") in host.loqua.arrived)
        await until(lambda: host.loqua.arrived[-1][0] == "in_progress")
    await host.give_up()
    await host.delivered()
    [record] = host.loqua.records
    assert record.topics_covered == ()


async def test_a_learner_who_returned_as_the_lesson_ended_is_not_called_for_again(
    host: HostUnderTest, ledger: Ledger
) -> None:
    """By a host that only has the ledger: the last entry is the one that is over."""
    host.rooms.inside["room"] = [learner(sid="PA_1")]
    async with host.job() as link:
        await join(link)
        host.rooms.inside["room"] = [learner(sid="PA_2")]
        await link.send(Join(identity="maria"))
        await link.send(finish())
        while await receive(link) != Recorded():
            pass
    assert await ledger.closed_entries(["room"]) == {"room": {("PA_2", "conversation")}}
