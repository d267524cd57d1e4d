"""A tutor's calls for specialists in its job process, on virtual time."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from livekit.agents.llm import ChatMessage

from loqua_host.contract.handoff import Handback
from loqua_host.errors import HandoffError
from loqua_host.job.room.floor import FLOOR
from loqua_host.link.messages import CallSpecialist, HandedBack, HandoffRefused

AGENT = 4
TAUGHT = Handback(outcome="taught")


@pytest.fixture
async def running(job: Any) -> Any:
    """Yield a lesson of the automatic tutor that has begun."""
    task = job.start()
    await asyncio.sleep(1)
    yield task
    job.lesson.end("done")
    await task


def call(job: Any, agent_name: str = "grammar-expert", **request: Any) -> "asyncio.Task[Handback]":
    """Call a specialist from the tutor."""
    return asyncio.create_task(job.lesson.call_specialist(agent_name, **request))


def specialist_comes(job: Any) -> None:
    """Enter the room as the specialist."""
    job.room.enter("agent-2", AGENT, lk_agent_name="grammar-expert")


def host_says(job: Any, answer: Any) -> None:
    """Answer as the host."""
    job.link.incoming.put_nowait(answer)


def asked(job: Any) -> list[CallSpecialist]:
    """Return what the host was asked."""
    return [it for it in job.link.sent if isinstance(it, CallSpecialist)]


def said(text: str, role: str = "user") -> Any:
    """Return a message of the conversation."""
    return ChatMessage(role=role, content=[text])  # type: ignore[arg-type]  # one of the roles


@pytest.mark.usefixtures("running")
async def test_a_specialist_is_announced_when_it_has_come_and_has_the_floor_then(job: Any) -> None:
    """The tutor speaks to the end of the announcement, and again once the specialist has left."""
    calling = call(job, focus="present_tense", words=["ser"])
    await asyncio.sleep(3)
    assert job.session.said == []
    specialist_comes(job)
    await asyncio.sleep(1)
    assert job.session.said == [job.settings.messages.specialist_joins["en"]]
    assert job.session.input.on == {}
    await asyncio.sleep(2)
    assert job.session.input.on == {"audio": False}
    host_says(job, HandedBack(handback=TAUGHT))
    await asyncio.sleep(1)
    assert not calling.done()
    job.room.leave("agent-2")
    assert await calling == TAUGHT
    assert job.session.input.on == {"audio": True}
    [message] = asked(job)
    assert (message.request.focus, message.request.words) == ("present_tense", ("ser",))


@pytest.mark.usefixtures("running")
async def test_the_last_sentences_go_along(job: Any) -> None:
    """Six at most, oldest first, of learner and tutor."""
    instructions = said("be kind", "system")
    history = [instructions, *(said(str(number)) for number in range(7)), said("7", "assistant")]
    job.session.history = SimpleNamespace(messages=lambda: history)
    calling = call(job)
    await asyncio.sleep(1)
    [message] = asked(job)
    sentences = [(one.speaker, one.text) for one in message.sentences]
    assert sentences == [*(("learner", str(number)) for number in range(2, 7)), ("tutor", "7")]
    host_says(job, HandedBack(handback=TAUGHT))
    await calling


@pytest.mark.usefixtures("running")
async def test_the_time_with_a_specialist_is_not_taught_by_the_caller(job: Any) -> None:
    """Its clock stands still, from the end of the announcement on."""
    calling = call(job)
    specialist_comes(job)
    await asyncio.sleep(3)
    before = job.clock.seconds
    await asyncio.sleep(100)
    assert job.clock.seconds == before
    host_says(job, HandedBack(handback=TAUGHT))
    job.room.leave("agent-2")
    await calling


@pytest.mark.usefixtures("running")
async def test_a_specialist_who_dies_keeps_the_floor_for_the_next(job: Any) -> None:
    """The host says when it is over."""
    calling = call(job)
    specialist_comes(job)
    await asyncio.sleep(3)
    job.room.leave("agent-2")
    await asyncio.sleep(1)
    assert job.session.input.on == {"audio": False}
    host_says(job, HandedBack(handback=Handback(outcome="failed")))
    assert (await calling).outcome == "failed"
    assert job.session.input.on == {"audio": True}


@pytest.mark.usefixtures("running")
async def test_a_specialist_who_does_not_come_is_not_announced(job: Any) -> None:
    """The tutor keeps the floor all the time."""
    calling = call(job)
    await asyncio.sleep(10)
    host_says(job, HandedBack(handback=Handback(outcome="absent")))
    assert (await calling).outcome == "absent"
    assert (job.session.said, job.session.input.on) == ([], {})


@pytest.mark.usefixtures("running")
async def test_a_call_that_the_host_refuses_is_an_error_that_says_why(job: Any) -> None:
    """And the tutor may call again."""
    calling = call(job, "spelling-expert")
    await asyncio.sleep(1)
    host_says(job, HandoffRefused(why="no such tutor"))
    with pytest.raises(HandoffError, match="no such tutor"):
        await calling
    again = call(job)
    await asyncio.sleep(1)
    host_says(job, HandedBack(handback=TAUGHT))
    assert await again == TAUGHT


@pytest.mark.usefixtures("running")
async def test_a_name_that_no_tutor_could_have_is_an_error(job: Any) -> None:
    """The host is not even asked."""
    with pytest.raises(HandoffError, match="agent_name"):
        await call(job, "Grammar Expert!")
    assert asked(job) == []


@pytest.mark.usefixtures("running")
async def test_one_specialist_is_called_at_a_time(job: Any) -> None:
    """A second call is an error, and the first goes on."""
    calling = call(job)
    await asyncio.sleep(1)
    with pytest.raises(HandoffError, match="in progress"):
        await call(job)
    host_says(job, HandedBack(handback=TAUGHT))
    assert await calling == TAUGHT


async def test_a_call_that_the_lesson_ends_in_waits_for_nobody(job: Any) -> None:
    """The tutor's task is cancelled, and the lesson finished."""
    lesson = job.start()
    await asyncio.sleep(1)
    calling = call(job)
    await asyncio.sleep(1)
    job.lesson.end("goal_reached")
    await lesson
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert job.finish.ending.reason == "goal_reached"


@pytest.mark.usefixtures("running")
async def test_the_room_is_shown_who_has_the_floor(job: Any) -> None:
    """Before, meanwhile and afterwards."""
    specialist_comes(job)
    await asyncio.sleep(1)
    job.room.leave("agent-2")
    await asyncio.sleep(1)
    shown = [
        attributes[FLOOR] for attributes in job.room.local_participant.shown if FLOOR in attributes
    ]
    assert shown == ["true", "false", "true"]


async def test_a_tutor_that_comes_back_to_a_specialist_greets_when_it_has_left(job: Any) -> None:
    """A restored tutor does not talk into its lesson."""
    specialist_comes(job)
    lesson = job.start()
    await asyncio.sleep(60)
    assert job.hooks.called == ["create_agent"]
    job.room.leave("agent-2")
    await asyncio.sleep(1)
    assert job.hooks.called == ["create_agent", "on_user_ready"]
    job.lesson.end("done")
    await lesson


async def test_a_specialist_greets_when_its_caller_has_announced_it(job: Any) -> None:
    """It begins as soon as no other tutor has the floor."""
    job.configure_tutor(worker_type="explicit")
    job.room.enter("agent-1", AGENT, loqua_floor="true")
    lesson = job.start()
    await asyncio.sleep(4)
    assert job.hooks.called == ["create_agent"]
    caller = job.room.remote_participants["agent-1"]
    caller.attributes[FLOOR] = "false"
    job.room.emit("participant_attributes_changed", {FLOOR: "false"}, caller)
    await asyncio.sleep(1)
    assert job.hooks.called == ["create_agent", "on_user_ready"]
    job.lesson.end("done")
    await lesson


async def test_a_specialist_waits_ten_seconds_for_the_floor_at_most(job: Any) -> None:
    """The tutor with the floor may be dead."""
    job.configure_tutor(worker_type="explicit")
    job.room.enter("agent-1", AGENT, loqua_floor="true")
    lesson = job.start()
    await asyncio.sleep(11)
    assert "on_user_ready" in job.hooks.called
    job.lesson.end("done")
    await lesson


async def test_a_tutor_that_comes_back_gets_the_result_of_its_earlier_call(job: Any) -> None:
    """Before it greets, which is not before the specialist is done."""
    job.welcome = job.welcome.model_copy(update={"called": True})
    lesson = job.start()
    await asyncio.sleep(60)
    assert job.hooks.called == ["create_agent"]
    host_says(job, HandedBack(handback=TAUGHT))
    await asyncio.sleep(1)
    assert job.hooks.called == ["create_agent", "on_user_ready"]
    assert job.lesson.handback == TAUGHT
    job.lesson.end("done")
    await lesson
