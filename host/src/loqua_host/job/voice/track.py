"""The tutor's audio track, published before the lesson begins."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from livekit import rtc
from livekit.agents.voice.io import AudioOutput
from livekit.agents.voice.room_io import AudioOutputOptions
from livekit.rtc.participant import PublishTrackError
from livekit.rtc.room import EventTypes

from loqua_host.livekit_internals import TrackOutput
from loqua_host.observability.faults import log_fault

__all__ = ["published_track"]

SETTLING: Final[tuple[EventTypes, ...]] = ("local_track_published", "disconnected")
"""LiveKit's events of a track that is being published."""

SETTLED_SECONDS = 10.0
"""Seconds within which LiveKit emits one of these, also on a busy machine."""


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
    settled = asyncio.Event()

    def settle(*_: object) -> None:
        settled.set()

    for event in SETTLING:
        room.on(event, settle)
    publishing = asyncio.create_task(_logged_failure(output))
    publishing.add_done_callback(settle)
    try:
        yield output
    finally:
        # If cancelled earlier, the client fails at the announcement of an unknown track.
        with suppress(TimeoutError):
            await asyncio.wait_for(settled.wait(), SETTLED_SECONDS)
        for event in SETTLING:
            room.off(event, settle)
        publishing.cancel()
        await asyncio.wait({publishing})
        await output.aclose()


async def _logged_failure(output: TrackOutput) -> None:
    try:
        await output.start()
    except PublishTrackError as error:
        log_fault("publish_track", error)
