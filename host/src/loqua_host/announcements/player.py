"""The process that enters rooms, plays announcements and leaves. Its only secrets are room tokens.

It takes no part in lessons: it receives no audio and runs no tutor's code. A crash of it, or of
LiveKit's native library in it, affects neither jobs nor the host.
"""

import asyncio
import logging
import socket
from collections.abc import Iterator

from livekit import rtc
from livekit.agents.types import (
    ATTRIBUTE_TRANSCRIPTION_FINAL,
    ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID,
    ATTRIBUTE_TRANSCRIPTION_TRACK_ID,
    TOPIC_TRANSCRIPTION,
)

from loqua_host.livekit_internals import silence_native_log
from loqua_host.system.process import hide_memory
from loqua_host.system.proxies import bypass_native

from .messages import MAX_LINE_BYTES, Announcement, Began, Sound

__all__ = ["play_for_host"]

AT_ONCE = 50
"""Rooms at the same time; further ones wait for their turn."""

ENTERING_AT_ONCE = 8
"""Rooms entered at a time, so that the first announcements play while others wait for a CPU."""

CONNECT_SECONDS = 5.0
BEGIN_SECONDS = 8.0
"""Maximum seconds until a participant receives the first audio."""

FRAME_SECONDS = 0.05
TAIL_SECONDS = 0.3
"""Maximum seconds until the last audio is sent."""


def play_for_host(host: socket.socket) -> None:
    """Play announcements until the host hangs up, and those that have begun to their end.

    Nothing here is cancelled while it enters a room: LiveKit's client would end the process 15 s
    later (python-sdks #784).
    """
    hide_memory()
    logging.disable()  # LiveKit quotes tokens; the host hears what went wrong
    silence_native_log()
    asyncio.run(_serve(host))


async def _serve(host: socket.socket) -> None:
    reader, writer = await asyncio.open_connection(sock=host, limit=MAX_LINE_BYTES)
    gates = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(ENTERING_AT_ONCE)
    async with asyncio.TaskGroup() as tasks:
        while line := await reader.readline():
            announcement = Announcement.model_validate_json(line)
            tasks.create_task(_play(announcement, *gates, writer))


async def _play(
    it: Announcement,
    gate: asyncio.Semaphore,
    door: asyncio.Semaphore,
    host: asyncio.StreamWriter,
) -> None:
    def answer(failure: str | None = None) -> None:
        if not host.is_closing():
            host.write(Began(id=it.id, failure=failure).model_dump_json().encode() + b"\n")

    room = rtc.Room()
    async with gate:
        try:
            async with door:
                await _enter(room, it)
                async with asyncio.timeout(BEGIN_SECONDS):
                    source = await _publish(room, it)
            answer()
            await _speak(source, it.sound)
        except Exception as error:  # noqa: BLE001  # one room's trouble is no other's
            answer(type(error).__name__)
        finally:
            await room.disconnect()


async def _enter(room: rtc.Room, it: Announcement) -> None:
    bypass_native(it.url)
    options = rtc.RoomOptions(auto_subscribe=False, connect_timeout=CONNECT_SECONDS)
    await room.connect(it.url, it.token, options)


async def _publish(room: rtc.Room, it: Announcement) -> rtc.AudioSource:
    """Publish a track and its transcript, and wait until somebody listens."""
    source = rtc.AudioSource(it.sound.rate, 1)
    track = rtc.LocalAudioTrack.create_audio_track("announcement", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    publication = await room.local_participant.publish_track(track, options)
    if it.text:
        await room.local_participant.send_text(
            it.text,
            topic=TOPIC_TRANSCRIPTION,
            attributes={
                ATTRIBUTE_TRANSCRIPTION_FINAL: "true",
                ATTRIBUTE_TRANSCRIPTION_SEGMENT_ID: f"announcement-{it.id}",
                ATTRIBUTE_TRANSCRIPTION_TRACK_ID: publication.sid,
            },
        )
    await publication.wait_for_subscription()
    return source


async def _speak(source: rtc.AudioSource, sound: Sound) -> None:
    for frame in _frames(sound):
        await source.capture_frame(frame)
    await source.wait_for_playout()
    await asyncio.sleep(TAIL_SECONDS)
    await source.aclose()


def _frames(sound: Sound) -> Iterator[rtc.AudioFrame]:
    step = int(sound.rate * FRAME_SECONDS) * 2
    for start in range(0, len(sound.samples), step):
        samples = sound.samples[start : start + step]
        yield rtc.AudioFrame(samples, sound.rate, 1, len(samples) // 2)
