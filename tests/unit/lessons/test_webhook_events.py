"""Prefetching by webhooks, within the host's capacity."""

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
class EventsUnderTest:
    """A handler of webhook events, and their effects."""

    events: WebhookEvents = field(init=False)
    dispatch_state: DispatchState = field(default_factory=lambda: DispatchState(lambda: 1000.0))
    called: list[Dispatch] = field(default_factory=lambda: [Dispatch("")])
    failing: bool = False
    asked: int = 0
    capacity: Capacity = field(
        default_factory=lambda: Capacity(5, {"conversation": 5, "grammar": 1})
    )
    prefetched: list[tuple[str, str, str]] = field(default_factory=list)

    async def dispatched(self, _room: str) -> list[Dispatch]:
        """Return which agents are called to a room."""
        self.asked += 1
        if self.failing:
            raise RoomsError("no answer")
        return self.called


@pytest.fixture
async def under_test(instruments: Instruments) -> AsyncIterator[EventsUnderTest]:
    """Yield a host with two tutors."""
    under_test = EventsUnderTest()
    tutors = [running_tutor("conversation", "", "a", 5), running_tutor("grammar", "expert", "a", 5)]
    async with background() as tasks:
        services = make_services(
            rooms=under_test,
            dispatch_state=under_test.dispatch_state,
            tutors={tutor.name: tutor for tutor in tutors},
            tasks=tasks,
            metrics=LessonMetrics(instruments),
        )
        under_test.events = WebhookEvents(
            services,
            lambda *coming: under_test.prefetched.append(coming),
            lambda: under_test.capacity,
        )
        yield under_test


async def handle(under_test: EventsUnderTest, *events: WebhookEvent) -> list[tuple[str, str, str]]:
    """Return what comes of events."""
    for event in events:
        under_test.events.handle(event)
    for _ in range(5):
        await asyncio.sleep(0)
    return under_test.prefetched


async def test_a_learner_who_comes_is_prepared_for(
    under_test: EventsUnderTest, instruments: Instruments
) -> None:
    """With the tutor that is called to the room."""
    assert await handle(under_test, JOINED) == [COMING]
    assert instruments.registry.get_sample_value("loqua_webhooks_total") == 1


async def test_a_specialist_who_is_called_is_prefetched_too(under_test: EventsUnderTest) -> None:
    """An agent that runs elsewhere is not."""
    under_test.called = [Dispatch("expert"), Dispatch("somebody-elses")]
    assert await handle(under_test, JOINED) == [("room", "grammar", "maria")]


async def test_a_webhook_that_comes_twice_counts_once(under_test: EventsUnderTest) -> None:
    """Also when other rooms' come in between."""
    other = replace(JOINED, room="other")
    await handle(under_test, JOINED, other, JOINED)
    assert await handle(under_test, other, JOINED) == [COMING, ("other", *COMING[1:])]
    assert under_test.asked == 2


async def test_a_flood_begins_no_more_than_there_are_slots(under_test: EventsUnderTest) -> None:
    """Nor does it ask LiveKit more often, or wake the reconciler more than once at a time."""
    flood = [replace(JOINED, room=f"room-{number}") for number in range(1000)]
    assert len(await handle(under_test, *flood)) == 5
    assert under_test.asked == 5
    under_test.capacity = Capacity(0, under_test.capacity.tutors)
    assert len(await handle(under_test, *flood)) == 5


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
    under_test: EventsUnderTest, who: Participant | None
) -> None:
    """Agents come, too."""
    assert await handle(under_test, replace(JOINED, participant=who)) == []
    assert under_test.asked == 0


@pytest.mark.parametrize("state", ["accepted", "taught", "settled"])
async def test_a_late_webhook_changes_nothing(under_test: EventsUnderTest, state: str) -> None:
    """The tutor is there already, or the lesson is over."""
    job = JobRef("job", "room", "conversation")
    match state:
        case "accepted":
            under_test.dispatch_state.on_accepted(job)
        case "taught":
            under_test.dispatch_state.on_taught(job)
        case "settled":
            under_test.dispatch_state.on_closed(job, "PA_1")
    assert await handle(under_test, JOINED) == []


async def test_a_tutor_without_a_slot_is_not_prefetched(under_test: EventsUnderTest) -> None:
    """It is full or leaving, as all are when the host stops; others have places still."""
    under_test.capacity = Capacity(5, {"grammar": 1})
    assert await handle(under_test, JOINED) == []


async def test_a_livekit_that_does_not_answer_prevents_the_prefetch(
    under_test: EventsUnderTest,
) -> None:
    """The lesson is prepared when its job comes."""
    under_test.failing = True
    assert await handle(under_test, JOINED) == []


class CountingEvent(asyncio.Event):
    """An event that counts how often it is set."""

    times = 0

    def set(self) -> None:
        """Set it."""
        self.times += 1
        super().set()


@pytest.mark.parametrize("event", ["participant_joined", "participant_left", "room_finished"])
async def test_the_reconciler_wakes_once_for_many_webhooks(
    under_test: EventsUnderTest, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    """And again for later ones."""
    monkeypatch.setattr(module, "WAKE_SECONDS", 0.05)
    woken = CountingEvent()
    under_test.dispatch_state.changed = woken
    for _ in range(2):
        woken.clear()
        await handle(under_test, *[WebhookEvent(event, "room", None)] * 100)
        async with asyncio.timeout(30):
            await woken.wait()
    assert woken.times < 20


async def test_the_reconciler_looks_again_when_livekit_has_had_its_time(
    under_test: EventsUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiveKit brings no tutor to who returns to a room."""
    monkeypatch.setattr(module, "WAKE_SECONDS", 0.01)
    monkeypatch.setattr(module, "DISPATCH_GRACE", 0.05)
    woken = asyncio.Queue[None]()  # on a machine that stalls both may come before either is seen
    monkeypatch.setattr(under_test.dispatch_state.changed, "set", lambda: woken.put_nowait(None))
    await handle(under_test, JOINED)
    async with asyncio.timeout(30):
        await woken.get()
        await woken.get()


async def test_other_events_do_not_matter(under_test: EventsUnderTest) -> None:
    """There are many."""
    assert await handle(under_test, replace(JOINED, event="track_published")) == []
    assert not under_test.events._waking
