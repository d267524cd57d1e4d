"""The tutor's audio track, which is in the room before the lesson begins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from livekit import rtc
from livekit.agents.voice.io import AudioOutput
from livekit.agents.voice.room_io import AudioOutputOptions
from livekit.rtc.participant import PublishTrackError

from loqua_host.livekit_internals import TrackOutput
from loqua_host.observability.faults import log_fault

__all__ = ["published_track"]

ANNOUNCED_SECONDS = 2.0
"""Seconds within which LiveKit announces a track, unless the connection is lost."""


@asynccontextmanager
async def published_track(room: rtc.Room) -> AsyncIterator[AudioOutput]:
    """Publish the tutor's track for the length of a block; it is silent until a session uses it.

    LiveKit publishes it when a session starts, and the first sound waits until the learner has
    subscribed to it. Published earlier, that happens while the host prepares the lesson.
    """
    options = AudioOutputOptions()
    output = TrackOutput(
        room,
        sample_rate=options.sample_rate,
        num_channels=options.num_channels,
        track_publish_options=options.track_publish_options,
    )
    announced = asyncio.Event()

    def announce(*_: object) -> None:
        announced.set()

    room.on("local_track_published", announce)
    publishing = asyncio.create_task(_logged_failure(output))
    publishing.add_done_callback(announce)
    try:
        yield output
    finally:
        # Cancelled before, the client fails at the announcement, whose track it does not know.
        with suppress(TimeoutError):
            await asyncio.wait_for(announced.wait(), ANNOUNCED_SECONDS)
        room.off("local_track_published", announce)
        publishing.cancel()
        await asyncio.wait({publishing})
        await output.aclose()


async def _logged_failure(output: TrackOutput) -> None:
    try:
        await output.start()
    except PublishTrackError as error:
        log_fault("publish_track", error)
