"""Room events for the tutor, and failing handlers."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from livekit import rtc

from loqua_host import events
from loqua_host.contract.learner import Learner
from loqua_host.errors import HookFailedError
from loqua_host.job.room.events import MOST_WAITING
from loqua_host.link.messages import Returned

SIP, EGRESS = 3, 2


@pytest.fixture
async def heard(job: Any) -> list[events.Event]:
    """Return what the tutor hears of."""
    all_of_it: list[events.Event] = []

    async def hear(event: events.Event) -> None:
        all_of_it.append(event)

    job.lesson.on(events.Event, hear)
    return all_of_it


def publish(job: Any, kind: int, source: int) -> None:
    """Publish a track as the learner."""
    track = SimpleNamespace(sid="TR_1", kind=kind, source=source)
    job.room.emit("track_published", track, job.room.remote_participants["maria"])


def change(job: Any) -> None:
    """Change the learner's attributes."""
    job.room.emit(
        "participant_attributes_changed",
        {"mood": "happy"},
        job.room.remote_participants["maria"],
    )


HAPPENINGS: dict[str, tuple[Callable[[Any], None], events.Event]] = {
    "a caller": (
        lambda job: job.room.enter("ana", SIP),
        events.ParticipantConnected("ana", "sip", "Ana"),
    ),
    "of a kind to come": (
        lambda job: job.room.enter("ana", 99),
        events.ParticipantConnected("ana", "kind_99", "Ana"),
    ),
    "attributes": (change, events.ParticipantAttributesChanged("maria", {"mood": "happy"})),
    "a microphone": (
        lambda job: publish(job, rtc.TrackKind.KIND_AUDIO, rtc.TrackSource.SOURCE_MICROPHONE),
        events.TrackPublished("maria", "TR_1", "audio", "microphone"),
    ),
    "a camera": (
        lambda job: publish(job, rtc.TrackKind.KIND_VIDEO, rtc.TrackSource.SOURCE_CAMERA),
        events.TrackPublished("maria", "TR_1", "video", "camera"),
    ),
    "no track": (
        lambda job: job.room.emit(
            "track_unpublished",
            SimpleNamespace(sid="TR_1"),
            job.room.remote_participants["maria"],
        ),
        events.TrackUnpublished("maria", "TR_1"),
    ),
    "reconnecting": (lambda job: job.room.emit("reconnecting"), events.Reconnecting()),
    "reconnected": (lambda job: job.room.emit("reconnected"), events.Reconnected()),
}


@pytest.mark.parametrize(("happens", "event"), HAPPENINGS.values(), ids=HAPPENINGS)
async def test_what_happens_in_the_room_is_reported(
    job: Any, heard: list[events.Event], happens: Any, event: events.Event
) -> None:
    """Each event has its own type."""
    running = job.start()
    await asyncio.sleep(1)
    happens(job)
    await asyncio.sleep(1)
    assert heard == [event]
    job.lesson.end("done")
    await running


async def test_a_learner_who_leaves_and_returns_is_told_of_after_their_participant(
    job: Any, heard: list[events.Event]
) -> None:
    """Leaving is an event of the lesson's own."""
    job.limit(reconnect_timeout=30.0)
    running = job.start()
    await asyncio.sleep(1)
    job.room.leave("maria")
    await asyncio.sleep(1)
    job.room.enter("m2")
    job.link.incoming.put_nowait(Returned(learner=Learner(user_id="maria", identity="m2")))
    await asyncio.sleep(1)
    assert heard == [
        events.ParticipantDisconnected("maria", "standard"),
        events.LearnerLeft(),
        events.ParticipantConnected("m2", "standard", "M2"),
        events.LearnerReturned(),
    ]
    job.lesson.end("done")
    await running


async def test_a_handler_hears_of_the_kind_that_it_asked_for(job: Any) -> None:
    """And no other."""
    heard: list[object] = []

    async def hear(event: events.ParticipantDisconnected) -> None:
        heard.append(event.identity)

    job.lesson.on(events.ParticipantDisconnected, hear)
    running = job.start()
    await asyncio.sleep(1)
    job.room.enter("room-recorder", EGRESS)
    job.room.leave("room-recorder")
    await asyncio.sleep(1)
    assert heard == ["room-recorder"]
    job.lesson.end("done")
    await running


async def test_a_failing_handler_keeps_no_event_from_the_others(
    job: Any, heard: list[events.Event]
) -> None:
    """Nor does it hurt the lesson."""

    async def fail(_event: events.Event) -> None:
        raise HookFailedError("on(Reconnecting)", "raised ValueError")

    job.lesson._handlers.insert(0, (events.Event, fail))
    running = job.start()
    await asyncio.sleep(1)
    job.room.emit("reconnecting")
    await asyncio.sleep(1)
    assert heard == [events.Reconnecting()]
    job.lesson.end("done")
    await running


async def test_nobody_can_flood_a_tutor(job: Any) -> None:
    """The queue before a slow handler is bounded, and the log reports lost events once."""
    heard: list[events.Event] = []

    async def handle_slowly(event: events.Event) -> None:
        heard.append(event)
        await asyncio.sleep(1)

    job.lesson.on(events.Event, handle_slowly)
    running = job.start()
    await asyncio.sleep(1)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3 * MOST_WAITING):
            change(job)
        await asyncio.sleep(2 * MOST_WAITING)
    assert len(heard) == MOST_WAITING
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == [
        "lesson.events_lost"
    ]
    job.lesson.end("done")
    await running


async def test_only_an_async_def_can_hear(job: Any) -> None:
    """The author hears of it at the line that makes the mistake."""
    with pytest.raises(TypeError, match="async def"):
        job.lesson.on(events.LearnerLeft, print)
