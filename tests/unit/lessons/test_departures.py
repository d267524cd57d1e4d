"""Lessons of a draining worker."""

import asyncio
import contextlib

import pytest
from tests.unit.lessons.host_under_test import (
    JOB,
    STOPPING,
    HostUnderTest,
    finish,
    join,
    learner,
    receive,
    until,
)

from loqua_host.errors import LinkError
from loqua_host.link.messages import Join, Recorded, Welcome
from loqua_host.link.server import JobRef


async def test_lessons_hear_when_their_worker_leaves_also_one_that_just_begins(
    host: HostUnderTest,
) -> None:
    """Only lessons of the worker's jobs get the notice; they continue until then."""
    grammar, later = JobRef("other", "room", "grammar"), JobRef("later", "room", "grammar")
    async with host.job() as first, host.job(grammar) as second:
        await join(first)
        host.loqua.gates["lease"] = asyncio.Event()
        await second.send(Join(identity="maria"))
        await until(lambda: not host.lessons._waiting)
        await host.leave(JOB, grammar)
        assert 590 < (await receive(first)).seconds <= 600
        host.loqua.gates["lease"].set()
        assert isinstance(await receive(second), Welcome)
        message = await receive(second)
        assert (message.reason, 590 < message.seconds <= 600) == (STOPPING, True)
        await second.send(finish())
        assert await receive(second) == Recorded()
    async with host.job(later) as third:
        await join(third)
        await third.send(finish())
        assert await receive(third) == Recorded()


async def test_a_lesson_without_time_for_a_goodbye_is_cut_off_and_resumed(
    host: HostUnderTest,
) -> None:
    """Its learner hears no half of one, and is not left alone: a new worker's job takes over."""
    async with host.job() as link:
        first = await join(link)
        await host.leave(JOB, within=3, reason="tutor_changed")
        await host.lessons.cut_off([JOB.job_id])
        assert await receive(link) is None
    await until(lambda: host.dispatch_state.interrupted("room"))
    async with host.job(JobRef("job2", "room", "conversation")) as link:
        again = await join(link)
    assert (again.resumed, again.lesson) == (True, first.lesson)


async def test_a_lesson_that_another_host_has_resumed_is_cut_off_alone(host: HostUnderTest) -> None:
    """Not that of another tutor in the room."""
    async with host.job() as link, host.job(JobRef("other", "room", "grammar")) as other:
        await join(link)
        await join(other)
        await host.lessons.leave("room", "conversation")
        assert await receive(link) is None
        await other.send(finish())
        assert await receive(other) == Recorded()


async def test_who_was_told_goodbye_because_a_worker_leaves_gets_no_second_lesson(
    host: HostUnderTest,
) -> None:
    """As after any ending, the API has one record, and the learner one tutor."""
    host.rooms.inside["room"] = [learner(sid="PA_1")]
    async with host.job() as link:
        await join(link)
        await host.leave(JOB, reason="tutor_changed")
        assert (await receive(link)).reason == "tutor_changed"
        await link.send(finish())
        assert await receive(link) == Recorded()
    await host.delivered()
    assert ("PA_1", "conversation") in (await host.services.ledger.closed_entries(["room"]))["room"]
    assert len(host.loqua.records) == 1


async def test_lost_lessons_are_left_to_others_by_a_host_that_stops(host: HostUnderTest) -> None:
    """Open as they are, at once, and those that are lost later, too."""
    grammar = JobRef("other", "room", "grammar")
    async with host.job(grammar) as later:
        await join(later)
        async with host.job() as link:
            await join(link)
        await until(lambda: host.dispatch_state.interrupted("room"))
        host.lessons.withdraw()
        assert host.dispatch_state.interrupted("room") == ()
    await until(lambda: not host.lessons.live())
    await host.services.ledger.claims_in(["room"])  # what was asked of the ledger before is done
    assert host.dispatch_state.interrupted("room") == ()
    assert await host.services.ledger.take_over({"conversation", "grammar"}) == 2
    assert host.loqua.records == []


@pytest.mark.parametrize("early", [True, False])
async def test_jobs_that_wait_for_their_learner_are_sent_away(
    host: HostUnderTest, early: bool
) -> None:
    """Also one that comes only now; nothing is opened for them, even if the learner comes."""
    if not early:
        await host.leave(JOB)
    host.lessons.begin(JOB)
    async with host.job() as link:
        if early:
            await until(lambda: host.lessons._waiting)
            await host.leave(JOB)
        refused = await receive(link)
        assert (refused.cause, refused.language) == ("host_stopping", None)
        with contextlib.suppress(LinkError):
            await link.send(Join(identity="maria"))
    await host.delivered()
    assert await host.services.ledger.pending_lessons() == {}
