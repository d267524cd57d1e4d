"""What a tutor sees of its learner."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from livekit import rtc
from livekit.agents.voice.io import VideoInput

PICTURE = rtc.VideoFrame(2, 2, rtc.VideoBufferType.RGB24, bytes(12))


class Source(VideoInput):
    """A camera that shows what a test puts before it."""

    def __init__(self) -> None:
        super().__init__(label="camera")
        self.frames: asyncio.Queue[rtc.VideoFrame] = asyncio.Queue()

    async def __anext__(self) -> rtc.VideoFrame:
        """Return the next picture."""
        return await self.frames.get()


async def look(job: Any) -> "asyncio.Task[None]":
    """Begin a lesson, and see a picture as LiveKit's session does."""
    source = job.session.input.video = Source()
    running: asyncio.Task[None] = job.start()
    await asyncio.sleep(1)
    assert job.lesson.frame is None
    source.frames.put_nowait(PICTURE)
    assert await anext(job.session.input.video) is PICTURE
    assert job.lesson.frame is PICTURE
    return running


async def test_the_latest_picture_is_on_the_lesson(job: Any) -> None:
    """On its way to a model that sees by itself."""
    running = await look(job)
    job.lesson.end("done")
    await running


@pytest.mark.parametrize("event", ["track_muted", "track_unpublished"], ids=["muted", "gone"])
async def test_a_camera_that_is_off_shows_nothing(job: Any, event: str) -> None:
    """The picture of before would be taken for what is there now; other tracks don't count."""
    running = await look(job)
    maria = job.room.remote_participants["maria"]
    kinds = (rtc.TrackKind.KIND_AUDIO, rtc.TrackKind.KIND_VIDEO)
    for kind, left in zip(kinds, (PICTURE, None), strict=True):
        track = SimpleNamespace(kind=kind, sid="TR_1", name="it")
        job.room.emit(event, *((maria, track) if event == "track_muted" else (track, maria)))
        assert job.lesson.frame is left
    job.lesson.end("done")
    await running
