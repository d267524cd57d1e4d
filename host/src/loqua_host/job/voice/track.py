"""The tutor's audio track, which is in the room before the lesson begins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from livekit import rtc
from livekit.agents.voice.io import AudioOutput
from livekit.agents.voice.room_io import AudioOutputOptions

from loqua_host.livekit_internals import TrackOutput

__all__ = ["published_track"]


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
    publishing = asyncio.create_task(output.start())
    try:
        yield output
    finally:
        publishing.cancel()
        await asyncio.wait({publishing})
        await output.aclose()
