"""The tutor's track: in the room before there is a lesson, and gone with the job."""

import asyncio
from typing import Any

import pytest

from loqua_host.job.voice import track as module
from loqua_host.job.voice.track import published_track


class FakeTrack:
    """LiveKit's audio output, to whose track nobody has subscribed."""

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


async def test_the_track_is_published_while_the_host_prepares_the_lesson(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits until the learner has subscribed, and nothing is left of one nobody did."""
    monkeypatch.setattr(module, "TrackOutput", FakeTrack)
    room: Any = object()
    async with published_track(room) as track:
        await asyncio.sleep(0)
        assert isinstance(track, FakeTrack)
        assert (track.room, track.done) == (room, ["published"])
    assert track.done == ["published", "given up", "closed"]
