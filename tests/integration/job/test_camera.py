"""A learner's camera, over LiveKit."""

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import numpy as np
from livekit import api, rtc
from livekit.agents import Agent
from livekit.agents.voice import room_io

from loqua_host.dev.livekit import LiveKitServer
from loqua_host.job.room.camera import Camera
from loqua_host.job.voice.session import LessonSession

SIZE = 64
RED = rtc.VideoFrame(
    SIZE, SIZE, rtc.VideoBufferType.RGBA, bytes((220, 20, 20, 255)) * (SIZE * SIZE)
)


async def enter(server: LiveKitServer, name: str, identity: str) -> rtc.Room:
    """Connect somebody to a room."""
    room = rtc.Room()
    grants = api.VideoGrants(room_join=True, room=name)
    made = api.AccessToken(server.api_key, server.api_secret).with_identity(identity)
    await room.connect(server.url, made.with_grants(grants).to_jwt())
    return room


class LessonSeen:
    """A lesson whose pictures can be waited for."""

    def __init__(self, identity: str) -> None:
        self.learner = SimpleNamespace(identity=identity)
        self.frames: asyncio.Queue[rtc.VideoFrame | None] = asyncio.Queue()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "frame":
            self.frames.put_nowait(value)
        else:
            super().__setattr__(name, value)

    async def until_dark(self) -> None:
        """Wait until there is no picture."""
        while await self.frames.get() is not None:
            pass


async def show(source: rtc.VideoSource) -> None:
    """Hold something red before a camera."""
    while True:
        source.capture_frame(RED)
        await asyncio.sleep(0.1)


async def test_a_tutor_sees_what_the_learner_shows(livekit_server: LiveKitServer) -> None:
    """The colour, and nothing once the camera is off."""
    name = uuid4().hex
    tutor = await enter(livekit_server, name, "tutor")
    learner = await enter(livekit_server, name, "maria")
    lesson: Any = LessonSeen("maria")
    camera, session = Camera(lesson, tutor), LessonSession(vad=None)
    options = room_io.RoomOptions(
        participant_identity="maria", audio_input=False, audio_output=False, video_input=True
    )
    await session.start(Agent(instructions=""), room=tutor, record=False, room_options=options)
    camera.follow(session)
    camera.watch()
    source = rtc.VideoSource(SIZE, SIZE)
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    shown = await learner.local_participant.publish_track(
        track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA)
    )
    showing = asyncio.create_task(show(source))
    try:
        async with asyncio.timeout(60):
            frame = await lesson.frames.get()
        picture = frame.convert(rtc.VideoBufferType.RGB24)
        red, green, blue = np.frombuffer(picture.data, np.uint8).reshape(-1, 3).mean(axis=0)
        assert red > 150
        assert max(green, blue) < 90
        await learner.local_participant.unpublish_track(shown.sid)
        async with asyncio.timeout(60):
            await lesson.until_dark()
    finally:
        showing.cancel()
        camera.unwatch()
        await session.aclose()
        await learner.disconnect()
        await tutor.disconnect()
