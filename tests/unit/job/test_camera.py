"""The learner's video for a tutor."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc

from loqua_host.job.room.camera import LOOK_SECONDS, Camera


class Publication:
    """A published track that sends nothing."""

    def __init__(self, kind: Any, *, muted: bool = False) -> None:
        self.sid, self.kind, self.muted, self.track = "TR_1", kind, muted, None
        self.asked: list[bool] = []

    def set_subscribed(self, subscribed: bool) -> None:
        """Keep what was asked for."""
        self.asked.append(subscribed)


VIDEO, AUDIO = rtc.TrackKind.KIND_VIDEO, rtc.TrackKind.KIND_AUDIO


def room_with(identity: str, publication: Publication) -> Any:
    """Return a room in which somebody has published a track."""
    room: Any = rtc.EventEmitter()
    publications = {publication.sid: publication}
    who = SimpleNamespace(identity=identity, track_publications=publications)
    room.remote_participants = {identity: who}
    return room


async def test_a_look_at_a_camera_that_sends_nothing_ends() -> None:
    """Its track is subscribed to meanwhile only."""
    publication, now = Publication(VIDEO), asyncio.get_running_loop().time
    began = now()
    assert await Camera(room_with("maria", publication), "maria").look() is None
    assert now() - began == pytest.approx(LOOK_SECONDS)
    assert publication.asked == [True, False]


@pytest.mark.parametrize(
    ("identity", "publication"),
    [
        pytest.param("maria", Publication(VIDEO, muted=True), id="muted"),
        pytest.param("maria", Publication(AUDIO), id="a microphone"),
        pytest.param("juan", Publication(VIDEO), id="another's"),
    ],
)
async def test_there_is_nothing_to_see(identity: str, publication: Publication) -> None:
    """No track is subscribed to."""
    assert await Camera(room_with(identity, publication), "maria").look() is None
    assert publication.asked == []


async def test_a_model_that_watches_by_itself_gets_video_that_is_published_later() -> None:
    """The learner's alone."""
    room = room_with("maria", before := Publication(VIDEO))
    Camera(room, "maria").subscribe_all()
    after, others = Publication(VIDEO), Publication(VIDEO)
    room.emit("track_published", after, SimpleNamespace(identity="maria"))
    room.emit("track_published", others, SimpleNamespace(identity="juan"))
    assert [it.asked for it in (before, after, others)] == [[True], [True], []]
