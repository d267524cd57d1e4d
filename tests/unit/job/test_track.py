"""The tutor's audio track: published before the lesson, unpublished with the job."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
import structlog
from livekit import rtc
from livekit.rtc.participant import PublishTrackError

from loqua_host.job.voice import track as module
from loqua_host.job.voice.track import published_track


class UnsubscribedOutput:
    """LiveKit's audio output with a track that has no subscriber."""

    def __init__(self, room: Any, **options: Any) -> None:
        assert options["sample_rate"]
        self.room = room
        self.done: list[str] = []

    async def start(self) -> None:
        """Publish, and wait for somebody to subscribe."""
        self.done.append("published")
        try:
            await asyncio.Event().wait()
        finally:
            self.done.append("given up")

    async def aclose(self) -> None:
        """End."""
        self.done.append("closed")


class UnpublishableTrack(UnsubscribedOutput):
    """A track that LiveKit refuses to publish."""

    async def start(self) -> None:
        """Fail."""
        raise PublishTrackError("no permission")


class AnnouncingRoom(rtc.EventEmitter[str]):
    """A room that announces a track when a test says so."""

    def announce(self) -> None:
        """Announce the track, as LiveKit's server has it."""
        self.emit("local_track_published", None, None)


async def test_the_track_is_published_while_the_host_prepares_the_lesson(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lesson does not wait for a subscription; without one, nothing remains."""
    monkeypatch.setattr(module, "TrackOutput", UnsubscribedOutput)
    room: Any = AnnouncingRoom()
    async with published_track(room) as track:
        await asyncio.sleep(0)
        room.announce()
        assert isinstance(track, UnsubscribedOutput)
        assert (track.room, track.done) == (room, ["published"])
    assert track.done == ["published", "given up", "closed"]


async def test_a_track_is_not_given_up_before_livekit_has_announced_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client looks it up then, and logs an error if it is gone."""
    monkeypatch.setattr(module, "TrackOutput", UnsubscribedOutput)
    room: Any = AnnouncingRoom()
    async with AsyncExitStack() as stack:
        track = await stack.enter_async_context(published_track(room))
        closing = asyncio.create_task(stack.aclose())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not closing.done()
        assert track.done == ["published"]  # type: ignore[attr-defined]
        room.announce()
        await closing
    assert track.done == ["published", "given up", "closed"]  # type: ignore[attr-defined]


async def test_a_track_that_cannot_be_published_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its lesson goes on without sound, and closes at once."""
    monkeypatch.setattr(module, "TrackOutput", UnpublishableTrack)
    room: Any = AnnouncingRoom()
    with structlog.testing.capture_logs() as logs:
        async with published_track(room):
            await asyncio.sleep(0)
    assert [line["task"] for line in logs] == ["publish_track"]
