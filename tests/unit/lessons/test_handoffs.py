"""Handoffs in the host, with a fake reconciler and fake rooms."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from loqua_host.contract.handoff import Handback, HandoffRequest, Utterance
from loqua_host.contract.records import LessonReport
from loqua_host.errors import LedgerError, RoomsError
from loqua_host.lessons import handoffs as module
from loqua_host.lessons.dispatch_state import GONE_SECONDS, DispatchState
from loqua_host.lessons.handoffs import Handoffs
from loqua_host.lessons.metrics import LessonMetrics
from loqua_host.link.messages import CallSpecialist, HandedBack, HandoffRefused
from loqua_host.link.server import JobRef
from loqua_host.observability.metrics import Instruments
from loqua_host.records.ledger import LessonRow
from loqua_host.system.tasks import background
from loqua_host.testing.tutors import running_tutor

ABSENT = Handback(outcome="absent")
REPORTED = Handback(outcome="taught", report=LessonReport(topics_covered=("verbs",)))
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


class HandoffRooms:
    """LiveKit's rooms, with the deleted dispatches."""

    def __init__(self) -> None:
        self.withdrawn: list[tuple[str, str]] = []
        self.failing = False

    async def withdraw(self, room: str, agent_name: str) -> list[Any]:
        """Take dispatches back."""
        if self.failing:
            raise RoomsError("out of reach")
        self.withdrawn.append((room, agent_name))
        return []


class HandoffLedger:
    """The ledger, with the specialist that the lesson has called."""

    def __init__(self) -> None:
        self.called: str | None = None
        self.failing = False

    async def call_specialist(self, _lesson: LessonRow, tutor: str) -> None:
        """Save a call."""
        if self.failing:
            raise LedgerError("out of reach")
        self.called = tutor

    async def end_call(self, _lesson: LessonRow, _tutor: str) -> None:
        """Forget it."""
        self.called = None


class HandoffsUnderTest:
    """Handoffs with their collaborators."""

    def __init__(self, wall: Any, tasks: asyncio.TaskGroup) -> None:
        self.wall = wall
        self.dispatch_state, self.rooms = DispatchState(wall.monotonic), HandoffRooms()
        self.ledger = HandoffLedger()
        self.metrics = LessonMetrics(Instruments())
        services: Any = SimpleNamespace(
            dispatch_state=self.dispatch_state,
            rooms=self.rooms,
            ledger=self.ledger,
            tutors=TUTORS,
            tasks=tasks,
            metrics=self.metrics,
        )
        self.handoffs = Handoffs(services)

    async def begin(self) -> "asyncio.Task[HandedBack | HandoffRefused]":
        """Call the grammar specialist, and wait until it is requested."""
        asking = asyncio.create_task(self.handoffs.hand_off(ROW, CALL))
        await self.dispatch_state.changed.wait()
        return asking


@pytest.fixture
async def host(wall: Any) -> AsyncIterator[HandoffsUnderTest]:
    """Yield handoffs."""
    async with background() as tasks:
        yield HandoffsUnderTest(wall, tasks)


async def test_a_specialist_is_asked_for_until_it_has_taught(host: HandoffsUnderTest) -> None:
    """With the handover; its caller gets its report."""
    asking = await host.begin()
    [(tutor, asked)] = host.dispatch_state.asked("room").items()
    assert (tutor, asked.user_id) == ("grammar", "maria")
    assert asked.handover is not None
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
    await asyncio.sleep(0)
    assert host.ledger.called is None
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
    """Only the automatic tutor gives the floor away."""
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


async def test_a_specialist_of_another_host_is_called_and_its_report_comes_by_the_ledger(
    host: HandoffsUnderTest,
) -> None:
    """No tutor of this host has that name."""
    host.dispatch_state.elsewhere = {"verbs": "verb-expert"}
    call = CALL.model_copy(update={"agent_name": "verb-expert"})
    asking = asyncio.create_task(host.handoffs.hand_off(ROW, call))
    await host.dispatch_state.changed.wait()
    assert host.ledger.called == "verbs"
    assert host.dispatch_state.asked("room")["verbs"].ask.due
    host.dispatch_state.on_called("room", "verbs", "maria")
    host.dispatch_state.on_seen("room", taught={"verbs"})
    assert not host.dispatch_state.asked("room")["verbs"].ask.due
    assert host.dispatch_state.called("room") == frozenset()
    host.dispatch_state.on_seen("room", handbacks={"verbs": REPORTED})
    assert await asking == HandedBack(handback=REPORTED)
    await asyncio.sleep(0)
    assert host.ledger.called is None


async def test_a_specialist_of_another_host_that_does_not_come_is_called_off(
    host: HandoffsUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its agent name, which the other host has written to the ledger."""
    monkeypatch.setattr(module, "COME_SECONDS", 0.01)
    host.dispatch_state.elsewhere = {"verbs": "verb-expert"}
    call = CALL.model_copy(update={"agent_name": "verb-expert"})
    assert await host.handoffs.hand_off(ROW, call) == HandedBack(handback=ABSENT)
    assert host.rooms.withdrawn == [("room", "verb-expert")]


@pytest.mark.parametrize(
    ("elsewhere", "seconds"),
    [({"grammar": "grammar-expert"}, GONE_SECONDS), ({}, 0.0)],
    ids=["another host may restore it", "no other host runs it"],
)
async def test_a_specialist_of_another_host_that_is_gone_without_a_result_has_failed(
    host: HandoffsUnderTest, elsewhere: dict[str, str], seconds: float
) -> None:
    """After the time in which another host would have restored it."""
    host.dispatch_state.elsewhere = elsewhere
    asking = await host.begin()
    host.dispatch_state.on_seen("room", taught={"grammar"})
    host.wall.seconds += 1000
    host.dispatch_state.on_seen("room", coming={"grammar"})
    assert not host.dispatch_state.asked("room")["grammar"].over.done()
    if seconds:
        host.dispatch_state.on_seen("room")
        host.wall.seconds += seconds - 1
        host.dispatch_state.on_seen("room")
        assert host.dispatch_state.asked("room")
        host.wall.seconds += 1
    host.dispatch_state.on_seen("room")
    assert await asking == HandedBack(handback=Handback(outcome="failed"))


async def test_a_ledger_out_of_reach_refuses_a_call_at_once(host: HandoffsUnderTest) -> None:
    """Its lesson could not start either."""
    host.ledger.failing = True
    answer = await host.handoffs.hand_off(ROW, CALL)
    assert answer == HandoffRefused(why="out of reach")
    assert host.dispatch_state.asked("room") == {}


async def test_a_resumed_caller_gets_the_result_of_its_earlier_call_without_another_dispatch(
    host: HandoffsUnderTest,
) -> None:
    """The specialist teaches, on whichever host, or has been done before."""
    taking_up = asyncio.create_task(host.handoffs.take_up(replace(ROW, called="grammar")))
    await host.dispatch_state.changed.wait()
    assert not host.dispatch_state.asked("room")["grammar"].ask.due
    host.dispatch_state.on_seen("room", handbacks={"grammar": REPORTED})
    assert await taking_up == HandedBack(handback=REPORTED)


async def test_a_resumed_caller_whose_specialist_never_came_goes_on(
    host: HandoffsUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its learner is with nobody meanwhile."""
    monkeypatch.setattr(module, "COME_SECONDS", 0.01)
    answer = await host.handoffs.take_up(replace(ROW, called="grammar"))
    assert answer == HandedBack(handback=ABSENT)


async def test_a_specialist_on_this_host_has_not_come_before_its_lesson_begins(
    host: HandoffsUnderTest,
) -> None:
    """Its job is in the room by then."""
    await host.begin()
    host.dispatch_state.on_called("room", "grammar", "maria")
    host.dispatch_state.on_accepted(JOB)
    host.dispatch_state.on_seen("room", coming={"grammar"})
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
    host.dispatch_state.on_seen("room")
    assert host.dispatch_state.asked("room")
    host.dispatch_state.drop_interrupted(lost)
    host.dispatch_state.on_called("room", "grammar", "maria")
    host.dispatch_state.on_seen("room")
    assert host.dispatch_state.asked("room")
    host.dispatch_state.on_handed_back("room", "grammar", Handback(outcome="taught"))
    await asking


async def test_a_tutor_may_ask_again_the_moment_it_is_over(host: HandoffsUnderTest) -> None:
    """Before the first call has its result."""
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
