"""A process with one learner in a spoken lesson with the conversation tutor.

A process of its own, because LiveKit's client aborts the one that it is in if its connection
restarts again while it publishes a track anew (rust-sdks: `RoomSession::handle_restarted`).
Run with `python -m tests.bench.soak_learner`: LEARNER_URL, LEARNER_TOKEN and SPEECH_URL in the
environment; prints the seconds of each reply as JSON.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress

import httpx
from livekit import rtc

from loqua_host.dev.learner import Line, Script, SyntheticLearner, synthesise_line
from loqua_host.dev.scripts import CONVERSATION

LINES = tuple(Line(text, CONVERSATION.language) for text in CONVERSATION.lines[:3])


async def run(url: str, token: str, speech_url: str) -> list[float]:
    """Speak three lines; return the delay of each reply, and none while a part is down."""

    async def speak(line: Line) -> bytes:
        return await synthesise_line(f"{speech_url}/v1", line.text, line.language)

    with suppress(rtc.ConnectError, httpx.HTTPError):
        heard = await SyntheticLearner(url, token, speak, Script(LINES)).run()
        return [seconds for seconds in heard.reply_latencies if seconds is not None]
    return []


if __name__ == "__main__":
    given = (os.environ[name] for name in ("LEARNER_URL", "LEARNER_TOKEN", "SPEECH_URL"))
    sys.stdout.write(json.dumps(asyncio.run(run(*given))))
