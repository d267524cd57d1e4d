"""The short-lived process that synthesises a sentence once for all rooms.

It has what a job of that tutor has of the host's, which is the secrets of its engines, and runs no
code of the tutor's.
"""

import asyncio
import logging
import os
import socket
from typing import Never

from livekit import rtc
from livekit.agents.utils import http_context
from pydantic import ValidationError

from loqua_host.errors import AnnouncementError
from loqua_host.job.voice.session import build_session
from loqua_host.livekit_internals import follow_proxy_variables
from loqua_host.system.process import hide_memory

from .child import start_child
from .messages import MAX_LINE_BYTES, Sound, Wanted

__all__ = ["synthesise"]

SECONDS = 15.0
"""Maximum seconds to synthesise a sentence."""


async def synthesise(wanted: Wanted) -> Sound:
    """Return the sound of a sentence.

    Raises:
        AnnouncementError: If the engine gives none in time.
    """
    try:
        ours, child = await asyncio.to_thread(start_child, synthesise_for_host)
    except (OSError, EOFError) as error:
        raise AnnouncementError(f"no process can be started: {error}") from None
    try:
        async with asyncio.timeout(SECONDS):
            answer = await _ask(ours, wanted)
        return Sound.model_validate_json(answer)
    except (TimeoutError, OSError, ValidationError) as error:
        why = "took too long" if isinstance(error, TimeoutError) else "gave no sound"
        raise AnnouncementError(f"engines.tts {why}; see `loqua-host check --live`") from None
    finally:
        child.kill()


async def _ask(child: socket.socket, wanted: Wanted) -> bytes:
    reader, writer = await asyncio.open_connection(sock=child, limit=MAX_LINE_BYTES)
    try:
        writer.write(wanted.model_dump_json().encode() + b"\n")
        return await reader.readline()
    finally:
        writer.close()


def synthesise_for_host(host: socket.socket) -> Never:
    """Answer one question, and be gone with all threads that an engine has started."""
    hide_memory()
    logging.disable()  # engines quote keys and sentences
    follow_proxy_variables()
    with host, host.makefile("rwb") as file:
        wanted = Wanted.model_validate_json(file.readline())
        sound = asyncio.run(_speak(wanted))
        file.write(sound.model_dump_json().encode() + b"\n")
        file.flush()
    os._exit(0)


async def _speak(wanted: Wanted) -> Sound:
    async with http_context.open():
        session = build_session(wanted.engines, wanted.language, wanted.secrets)
        if session.tts is None:
            raise AnnouncementError("engines.tts names no engine")
        async with session.tts.synthesize(wanted.text) as spoken:
            frames = [piece.frame async for piece in spoken]
        frame = rtc.combine_audio_frames(frames)
        if frame.num_channels != 1:
            raise AnnouncementError("engines.tts gives more than one channel")
        return Sound(rate=frame.sample_rate, samples=bytes(frame.data))
