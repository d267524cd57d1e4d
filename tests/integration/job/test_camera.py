"""A learner's camera, over LiveKit."""

import asyncio
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from livekit import api, rtc

from loqua_host.dev.livekit import LiveKitServer
from loqua_host.job.room import camera as module
from loqua_host.job.room.camera import Camera

SIZE = 64
RED = rtc.VideoFrame(
    SIZE, SIZE, rtc.VideoBufferType.RGBA, bytes((220, 20, 20, 255)) * (SIZE * SIZE)
)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extend the time limit of a look: a busy machine shows the picture late."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 30.0)


async def enter(server: LiveKitServer, name: str, identity: str) -> rtc.Room:
    """Connect somebody to a room."""
    room = rtc.Room()
    grants = api.VideoGrants(room_join=True, room=name)
    made = api.AccessToken(server.api_key, server.api_secret).with_identity(identity)
    await room.connect(
        server.url, made.with_grants(grants).to_jwt(), rtc.RoomOptions(auto_subscribe=False)
    )
    return room


async def publish(learner: rtc.Room, source: rtc.VideoSource) -> rtc.LocalTrackPublication:
    """Switch a camera on."""
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA)
    return await learner.local_participant.publish_track(track, options)


def upcoming(room: rtc.Room, event: Any) -> "asyncio.Future[tuple[Any, ...]]":
    """Return what comes with the next event of a kind."""
    found: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
    room.once(event, lambda *given: found.set_result(given))
    return found


async def show(source: rtc.VideoSource) -> None:
    """Publish a camera that shows something red."""
    while True:
        source.capture_frame(RED)
        await asyncio.sleep(0.1)


async def test_a_tutor_sees_what_the_learner_shows_when_it_looks(
    livekit_server: LiveKitServer,
) -> None:
    """The colour, as often as it looks, and nothing once the camera is off; else no video comes."""
    name = uuid4().hex
    tutor = await enter(livekit_server, name, "tutor")
    learner = await enter(livekit_server, name, "maria")
    camera = Camera(tutor, "maria")
    source = rtc.VideoSource(SIZE, SIZE)
    showing = asyncio.create_task(show(source))
    try:
        assert await camera.look() is None
        published = upcoming(tutor, "track_published")
        shown = await publish(learner, source)
        async with asyncio.timeout(20):
            publication, _ = await published
        assert not publication.subscribed
        for _ in range(2):
            frame = await camera.look()
            assert frame is not None
            picture = frame.convert(rtc.VideoBufferType.RGB24)
            red, green, blue = np.frombuffer(picture.data, np.uint8).reshape(-1, 3).mean(axis=0)
            assert red > 150
            assert max(green, blue) < 90
        gone = upcoming(tutor, "track_unpublished")
        await learner.local_participant.unpublish_track(shown.sid)
        async with asyncio.timeout(20):
            await gone
        assert await camera.look() is None
    finally:
        showing.cancel()
        await learner.disconnect()
        await tutor.disconnect()


async def test_a_model_that_watches_by_itself_gets_all_video(livekit_server: LiveKitServer) -> None:
    """Of the learner, from before and after; a look takes nothing away."""
    name = uuid4().hex
    tutor = await enter(livekit_server, name, "tutor")
    learner = await enter(livekit_server, name, "maria")
    camera = Camera(tutor, "maria")
    camera.subscribe_all()
    source = rtc.VideoSource(SIZE, SIZE)
    showing = asyncio.create_task(show(source))
    try:
        subscribed = upcoming(tutor, "track_subscribed")
        await publish(learner, source)
        async with asyncio.timeout(20):
            _, publication, _ = await subscribed
        assert await camera.look() is not None
        assert publication.subscribed
    finally:
        showing.cancel()
        await learner.disconnect()
        await tutor.disconnect()
