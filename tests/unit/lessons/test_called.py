"""Lessons during a handoff, as the calling tutor sees them."""

from typing import Any

from tests.unit.lessons.host_under_test import HostUnderTest, finish, join, made, receive, until

from loqua_host.contract.handoff import Handback, HandoffRequest
from loqua_host.contract.records import Ending, LessonReport, Progress
from loqua_host.errors import RefusedError
from loqua_host.link.client import HostLink
from loqua_host.link.messages import CallSpecialist, Finish, HandedBack, Recorded, Refused
from loqua_host.link.server import JobRef

GRAMMAR = JobRef("job2", "room", "grammar")


CALL = CallSpecialist(agent_name="grammar-expert", request=HandoffRequest(focus="articles"))


async def hear_handback(link: HostLink) -> Handback:
    """Return what became of a call, past whatever else the host says."""
    answer = await receive(link)
    assert isinstance(answer, HandedBack)
    return answer.handback


async def test_a_caller_hears_what_the_specialist_reported(host: HostUnderTest, wall: Any) -> None:
    """With its last progress; the records are two, of one visit."""
    async with host.job() as caller, host.job(GRAMMAR) as specialist:
        await join(caller)
        await caller.send(CALL)
        await until(lambda: host.dispatch_state.asked("room"))
        welcome = await join(specialist)
        wall.seconds += 60
        await specialist.send(made(30, words_learned=3))
        await specialist.send(finish(LessonReport(topics_covered=("articles",))))
        back = await hear_handback(caller)
        assert back.outcome == "taught"
        assert back.report == LessonReport(
            topics_covered=("articles",), progress=Progress(words_learned=3)
        )
        await caller.send(finish())
        assert await receive(caller) == Recorded()
    await host.delivered()
    assert welcome.session_id == "sess_1.grammar-expert"
    assert {record.session_id for record in host.loqua.records} == {"sess_1", welcome.session_id}


async def test_a_caller_hears_that_the_specialist_crashed_for_good(host: HostUnderTest) -> None:
    """Before that, the specialist may still be resumed."""
    async with host.job() as caller:
        await join(caller)
        await caller.send(CALL)
        await until(lambda: host.dispatch_state.asked("room"))
        async with host.job(GRAMMAR) as specialist:
            await join(specialist)
        await until(lambda: host.dispatch_state.interrupted("room"))
        assert host.dispatch_state.asked("room")
        await host.give_up()
        assert await hear_handback(caller) == Handback(outcome="failed")


async def test_a_caller_hears_that_the_specialist_could_not_teach(host: HostUnderTest) -> None:
    """A hook of its failed, and the learner heard an apology."""
    async with host.job() as caller, host.job(GRAMMAR) as specialist:
        await join(caller)
        await caller.send(CALL)
        await until(lambda: host.dispatch_state.asked("room"))
        await join(specialist)
        ending = Ending(reason="create_agent_failed", seconds=0)
        await specialist.send(Finish(ending=ending, report=None))
        assert await hear_handback(caller) == Handback(outcome="failed")


async def test_a_caller_hears_that_the_specialist_was_refused(host: HostUnderTest) -> None:
    """The API does not let it teach this learner."""
    async with host.job() as caller, host.job(GRAMMAR) as specialist:
        await join(caller)
        await caller.send(CALL)
        await until(lambda: host.dispatch_state.asked("room"))
        host.loqua.failing = lambda method, _: (
            RefusedError("user-token", "no") if method == "lease" else None
        )
        assert isinstance(await join(specialist), Refused)
        assert await hear_handback(caller) == Handback(outcome="failed")


async def test_a_caller_that_ends_leaves_its_specialist_teaching(host: HostUnderTest) -> None:
    """By the rules for every lesson."""
    async with host.job(GRAMMAR) as specialist:
        async with host.job() as caller:
            await join(caller)
            await caller.send(CALL)
            await until(lambda: host.dispatch_state.asked("room"))
            await join(specialist)
            await caller.send(finish())
            await until(lambda: not host.dispatch_state.asked("room"))
        await specialist.send(finish())
        assert await receive(specialist) == Recorded()
    await host.delivered()
