"""Webhooks: used where they help, and never more than the host has places for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest
from tests.unit.lessons.host_under_test import make_services

from loqua_host.errors import RoomsError
from loqua_host.lessons import webhook_events as module
from loqua_host.lessons.decisions import Capacity
from loqua_host.lessons.dispatch_state import DispatchState
from loqua_host.lessons.metrics import LessonMetrics
from loqua_host.lessons.webhook_events import WebhookEvents
from loqua_host.link.server import JobRef
from loqua_host.observability.metrics import Instruments
from loqua_host.rooms.learners import Participant
from loqua_host.rooms.rooms import Dispatch
from loqua_host.rooms.webhooks import WebhookEvent
from loqua_host.system.tasks import background
from loqua_host.testing.tutors import running_tutor

MARIA = Participant("maria", "standard", "María", {"user_id": "u1"}, False, 1.0, "PA_1")
JOINED = WebhookEvent("participant_joined", "room", MARIA)
COMING = ("room", "conversation", "maria")


@dataclass
class World:
    """What events are about, and what came of them."""

    events: WebhookEvents = field(init=False)
    dispatch_state: DispatchState = field(default_factory=lambda: DispatchState(lambda: 1000.0))
    called: list[Dispatch] = field(default_factory=lambda: [Dispatch("")])
    failing: bool = False
    asked: int = 0
    capacity: Capacity = field(
        default_factory=lambda: Capacity(5, {"conversation": 5, "grammar": 1})
    )
    foreseen: list[tuple[str, str, str]] = field(default_factory=list)

    async def dispatched(self, _room: str) -> list[Dispatch]:
        """Return which agents are called to a room."""
        self.asked += 1
        if self.failing:
            raise RoomsError("no answer")
        return self.called


@pytest.fixture
async def world(instruments: Instruments) -> AsyncIterator[World]:
    """Yield a host with two tutors."""
    world = World()
    tutors = [running_tutor("conversation", "", "a", 5), running_tutor("grammar", "expert", "a", 5)]
    async with background() as tasks:
        services = make_services(
            rooms=world,
            dispatch_state=world.dispatch_state,
            tutors={tutor.name: tutor for tutor in tutors},
            tasks=tasks,
            metrics=LessonMetrics(instruments),
        )
        world.events = WebhookEvents(
            services, lambda *coming: world.foreseen.append(coming), lambda: world.capacity
        )
        yield world


async def handle(world: World, *events: WebhookEvent) -> list[tuple[str, str, str]]:
    """Return what comes of events."""
    for event in events:
        world.events.handle(event)
    for _ in range(5):
        await asyncio.sleep(0)
    return world.foreseen


async def test_a_learner_who_comes_is_prepared_for(world: World, instruments: Instruments) -> None:
    """With the tutor that is called to the room."""
    assert await handle(world, JOINED) == [COMING]
    assert instruments.registry.get_sample_value("loqua_webhooks_total") == 1


async def test_a_specialist_who_is_called_is_foreseen_too(world: World) -> None:
    """An agent that runs elsewhere is not."""
    world.called = [Dispatch("expert"), Dispatch("somebody-elses")]
    assert await handle(world, JOINED) == [("room", "grammar", "maria")]


async def test_a_hint_that_comes_twice_counts_once(world: World) -> None:
    """Also when other rooms' come in between."""
    other = replace(JOINED, room="other")
    await handle(world, JOINED, other, JOINED)
    assert await handle(world, other, JOINED) == [COMING, ("other", *COMING[1:])]
    assert world.asked == 2


async def test_a_flood_begins_no_more_than_there_are_places(world: World) -> None:
    """Nor does it ask LiveKit more often, or wake the reconciler more than once at a time."""
    flood = [replace(JOINED, room=f"room-{number}") for number in range(1000)]
    assert len(await handle(world, *flood)) == 5
    assert world.asked == 5
    world.capacity = Capacity(0, world.capacity.tutors)
    assert len(await handle(world, *flood)) == 5


@pytest.mark.parametrize(
    "who",
    [
        None,
        replace(MARIA, kind="agent"),
        replace(MARIA, attributes={}),
        replace(MARIA, writes_own_attributes=True),
    ],
)
async def test_whoever_cannot_be_taught_is_not_prepared_for(
    world: World, who: Participant | None
) -> None:
    """Agents come, too."""
    assert await handle(world, replace(JOINED, participant=who)) == []
    assert world.asked == 0


@pytest.mark.parametrize("state", ["accepted", "taught", "settled"])
async def test_a_late_hint_changes_nothing(world: World, state: str) -> None:
    """The tutor is there already, or the lesson is over."""
    job = JobRef("job", "room", "conversation")
    match state:
        case "accepted":
            world.dispatch_state.on_accepted(job)
        case "taught":
            world.dispatch_state.on_taught(job)
        case "settled":
            world.dispatch_state.on_closed(job, "PA_1")
    assert await handle(world, JOINED) == []


async def test_a_tutor_without_a_place_is_not_foreseen(world: World) -> None:
    """It is full or leaving, as all are when the host stops; others have places still."""
    world.capacity = Capacity(5, {"grammar": 1})
    assert await handle(world, JOINED) == []


async def test_a_livekit_that_does_not_answer_costs_the_hint(world: World) -> None:
    """The lesson is prepared when its job comes."""
    world.failing = True
    assert await handle(world, JOINED) == []


class Counting(asyncio.Event):
    """An event that counts how often it is set."""

    times = 0

    def set(self) -> None:
        """Set it."""
        self.times += 1
        super().set()


@pytest.mark.parametrize("event", ["participant_joined", "participant_left", "room_finished"])
async def test_the_reconciler_wakes_once_for_many_hints(
    world: World, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    """And again for later ones."""
    monkeypatch.setattr(module, "WAKE_SECONDS", 0.05)
    woken = Counting()
    world.dispatch_state.changed = woken
    for _ in range(2):
        woken.clear()
        await handle(world, *[WebhookEvent(event, "room", None)] * 100)
        async with asyncio.timeout(30):
            await woken.wait()
    assert woken.times < 20


async def test_the_reconciler_looks_again_when_livekit_has_had_its_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiveKit brings no tutor to who returns to a room."""
    monkeypatch.setattr(module, "WAKE_SECONDS", 0.01)
    monkeypatch.setattr(module, "DISPATCH_GRACE", 0.05)
    woken = asyncio.Queue[None]()  # on a machine that stalls both may come before either is seen
    monkeypatch.setattr(world.dispatch_state.changed, "set", lambda: woken.put_nowait(None))
    await handle(world, JOINED)
    async with asyncio.timeout(30):
        await woken.get()
        await woken.get()


async def test_other_events_do_not_matter(world: World) -> None:
    """There are many."""
    assert await handle(world, replace(JOINED, event="track_published")) == []
    assert not world.events._waking
