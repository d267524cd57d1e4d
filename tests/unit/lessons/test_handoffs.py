"""Handoffs in the host: asked, come and over, with a reconciler and rooms faked by hand."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from loqua_host.contract.handoff import Handback, HandoffRequest, Utterance
from loqua_host.contract.records import LessonReport
from loqua_host.errors import RoomsError
from loqua_host.lessons import handoffs as module
from loqua_host.lessons.dispatch_state import DispatchState
from loqua_host.lessons.handoffs import Handoffs
from loqua_host.lessons.metrics import LessonMetrics
from loqua_host.link.messages import CallSpecialist, HandedBack, HandoffRefused
from loqua_host.link.server import JobRef
from loqua_host.observability.metrics import Instruments
from loqua_host.records.ledger import LessonRow
from loqua_host.testing.tutors import running_tutor

ROW = LessonRow("l1", "v1", "v1", "maria", "room", "conversation", "agent", 0.0)
CALL = CallSpecialist(
    agent_name="grammar-expert",
    request=HandoffRequest(focus="articles", words=("agua",)),
    sentences=(Utterance(speaker="learner", text="El agua."),),
)
JOB = JobRef("job", "room", "grammar")
TUTORS = {
    "conversation": running_tutor("conversation", "", "agent", 5),
    "grammar": running_tutor("grammar", "grammar-expert", "agent", 5),
}


class FakeRooms:
    """LiveKit's rooms: what was taken back."""

    def __init__(self) -> None:
        self.withdrawn: list[tuple[str, str]] = []
        self.failing = False

    async def withdraw(self, room: str, agent_name: str) -> list[Any]:
        """Take dispatches back."""
        if self.failing:
            raise RoomsError("out of reach")
        self.withdrawn.append((room, agent_name))
        return []


class HandoffsUnderTest:
    """Handoffs with all that is around them."""

    def __init__(self, now: Any) -> None:
        self.dispatch_state, self.rooms = DispatchState(now), FakeRooms()
        self.metrics = LessonMetrics(Instruments())
        self.handoffs = Handoffs(self.dispatch_state, self.rooms, TUTORS, self.metrics)  # type: ignore[arg-type]  # a fake

    async def begin(self) -> "asyncio.Task[HandedBack | HandoffRefused]":
        """Ask for the grammar specialist, until it has been asked for."""
        asking = asyncio.create_task(self.handoffs.hand_off(ROW, CALL))
        await self.dispatch_state.changed.wait()
        return asking


@pytest.fixture
async def host(wall: Any) -> HandoffsUnderTest:
    """Return handoffs."""
    return HandoffsUnderTest(wall.now)


async def test_a_specialist_is_asked_for_until_it_has_taught(host: HandoffsUnderTest) -> None:
    """With what it is to know; its caller is told what it reported."""
    asking = await host.begin()
    [(tutor, asked)] = host.dispatch_state.asked("room").items()
    assert (tutor, asked.ask.user_id) == ("grammar", "maria")
    assert asked.handover.model_dump() == {
        "tutor": "conversation",
        "focus": "articles",
        "words": ("agua",),
        "sentences": ({"speaker": "learner", "text": "El agua.", "learner": ""},),
    }
    host.dispatch_state.on_taught(JOB)
    taught = Handback(outcome="taught", report=LessonReport(topics_covered=("articles",)))
    host.dispatch_state.on_handed_back("room", "grammar", taught)
    assert await asking == HandedBack(handback=taught)
    assert host.dispatch_state.asked("room") == {}
    assert host.rooms.withdrawn == []
    assert host.metrics.handoffs.labels("grammar", "taught")._value.get() == 1


async def test_a_specialist_that_does_not_come_in_time_is_called_off(
    host: HandoffsUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lest it come when its caller has gone on."""
    monkeypatch.setattr(module, "COME_SECONDS", 0.01)
    asking = await host.begin()
    host.dispatch_state.on_called("room", "grammar", "maria")
    assert await asking == HandedBack(handback=Handback(outcome="absent"))
    assert host.rooms.withdrawn == [("room", "grammar-expert")]
    assert host.dispatch_state.asked("room") == {}
    assert host.dispatch_state.called("room") == frozenset()


async def test_rooms_out_of_reach_keep_no_caller_waiting(
    host: HandoffsUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The specialist that could not be called off is absent all the same."""
    monkeypatch.setattr(module, "COME_SECONDS", 0.01)
    host.rooms.failing = True
    asking = await host.begin()
    assert await asking == HandedBack(handback=Handback(outcome="absent"))


async def test_a_refused_specialist_has_failed(host: HandoffsUnderTest) -> None:
    """Its lesson never began."""
    asking = await host.begin()
    host.dispatch_state.on_handed_back("room", "grammar", Handback(outcome="failed"))
    assert await asking == HandedBack(handback=Handback(outcome="failed"))


async def test_a_caller_that_is_gone_asks_for_nobody(host: HandoffsUnderTest) -> None:
    """The specialist, if it came, teaches on by the rules for everybody."""
    asking = await host.begin()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert host.dispatch_state.asked("room") == {}
    host.dispatch_state.on_taught(JOB)
    host.dispatch_state.on_handed_back("room", "grammar", Handback(outcome="taught"))


async def test_an_unknown_name_is_refused_with_those_there_are(host: HandoffsUnderTest) -> None:
    """A typing mistake shows at once."""
    call = CALL.model_copy(update={"agent_name": "gramar-expert"})
    answer = await host.handoffs.hand_off(ROW, call)
    assert isinstance(answer, HandoffRefused)
    assert "there are: grammar-expert" in answer.why


async def test_a_host_that_stops_calls_nobody(host: HandoffsUnderTest) -> None:
    """The tutor hears so at once, and goes on itself."""
    host.dispatch_state.leaving = True
    answer = await host.handoffs.hand_off(ROW, CALL)
    assert isinstance(answer, HandoffRefused)
    assert "stop" in answer.why


async def test_a_specialist_calls_nobody(host: HandoffsUnderTest) -> None:
    """Only the automatic tutor steps aside."""
    answer = await host.handoffs.hand_off(replace(ROW, tutor="grammar"), CALL)
    assert isinstance(answer, HandoffRefused)


async def test_nobody_is_asked_for_twice(host: HandoffsUnderTest) -> None:
    """One that is there or on its way is not called again."""
    asking = await host.begin()
    assert isinstance(await host.handoffs.hand_off(ROW, CALL), HandoffRefused)
    host.dispatch_state.on_taught(JOB)
    assert isinstance(await host.handoffs.hand_off(ROW, CALL), HandoffRefused)
    host.dispatch_state.on_handed_back("room", "grammar", Handback(outcome="taught"))
    await asking


@pytest.mark.parametrize(
    ("ended", "outcome"), [(frozenset({"grammar"}), "taught"), (frozenset[str](), "failed")]
)
async def test_a_specialist_on_another_host_is_known_by_its_coming_and_going(
    host: HandoffsUnderTest, ended: frozenset[str], outcome: str
) -> None:
    """All this host hears of it is who is in the room, and what has ended there."""
    asking = await host.begin()
    host.dispatch_state.on_called("room", "grammar", "maria")
    host.dispatch_state.on_seen("room", frozenset({"conversation"}), frozenset())
    assert not asking.done()
    host.dispatch_state.on_seen("room", frozenset({"conversation", "grammar"}), frozenset())
    host.dispatch_state.on_seen("room", frozenset({"conversation"}), ended)
    answer = await asking
    assert isinstance(answer, HandedBack)
    assert answer.handback.outcome == outcome


async def test_a_specialist_on_this_host_has_not_come_before_its_lesson_begins(
    host: HandoffsUnderTest,
) -> None:
    """Its job is in the room by then."""
    await host.begin()
    host.dispatch_state.on_called("room", "grammar", "maria")
    host.dispatch_state.on_accepted(JOB)
    host.dispatch_state.on_seen("room", frozenset({"grammar"}), frozenset())
    [asked] = host.dispatch_state.asked("room").values()
    assert not asked.came.is_set()


async def test_a_specialist_on_this_host_is_not_over_while_it_is_brought_back(
    host: HandoffsUnderTest,
) -> None:
    """Between a crash and the restart nobody is in the room."""
    asking = await host.begin()
    host.dispatch_state.on_taught(JOB)
    lost = host.dispatch_state.on_interrupted(replace(ROW, tutor="grammar"), None)
    host.dispatch_state.on_over(JOB)
    host.dispatch_state.on_seen("room", frozenset(), frozenset())
    assert host.dispatch_state.asked("room")
    host.dispatch_state.drop_interrupted(lost)
    host.dispatch_state.on_called("room", "grammar", "maria")
    host.dispatch_state.on_seen("room", frozenset(), frozenset())
    assert host.dispatch_state.asked("room")
    host.dispatch_state.on_handed_back("room", "grammar", Handback(outcome="taught"))
    await asking


async def test_a_tutor_may_ask_again_the_moment_it_is_over(host: HandoffsUnderTest) -> None:
    """Before the first call has been told of its end."""
    first = await host.begin()
    host.dispatch_state.on_taught(JOB)
    host.dispatch_state.on_over(JOB)
    for _ in range(5):
        await asyncio.sleep(0)
    second = asyncio.create_task(host.handoffs.hand_off(ROW, CALL))
    host.dispatch_state.on_handed_back("room", "grammar", Handback(outcome="taught"))
    assert await first == HandedBack(handback=Handback(outcome="taught"))
    assert [*host.dispatch_state.asked("room")] == ["grammar"]
    host.dispatch_state.on_handed_back("room", "grammar", Handback(outcome="failed"))
    assert await second == HandedBack(handback=Handback(outcome="failed"))
