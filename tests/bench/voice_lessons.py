"""Spoken lessons on any system, and the learners' waits for replies."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import cache
from typing import Final

import numpy as np
from livekit import rtc
from tests.bench.visits import NEVER, LearnerVisit

from loqua_host.dev.learner import AUDIBLE, FRAME, SAMPLE_RATE, audible_extent
from loqua_host.system.tasks import background
from loqua_speech.voices import synthesize, voice_for

__all__ = ["replies"]

SENTENCE: Final = "I am fine, thanks."
"""Of which LiveKit's turn detection is sure that nothing follows."""
PATIENCE: Final = 8.0
"""Seconds that a learner waits for a reply."""

FINISHED: Final = 0.8
"""Seconds of silence after which a tutor has finished."""

THOUGHT: Final = 0.5
APART: Final = 4.0
"""Seconds within which learners begin, so that they do not speak in chorus."""


async def replies(visits: Sequence[LearnerVisit], turns: int) -> list[float]:
    """Run turns of all learners at once.

    Returns:
        The seconds from the last word to the first sound after it, of each turn of each learner;
        `NEVER` where none came.
    """
    async with AsyncExitStack() as stack:
        talks = []
        for visit in visits:
            talk = _Talk(visit)
            tasks = await stack.enter_async_context(background())
            for track in _tracks(visit.room):
                tasks.create_task(talk.listen(track))
            talks.append(talk)
        each = await asyncio.gather(*(talk.hold(turns) for talk in talks))
    return [seconds for of_one in each for seconds in of_one]


class _Talk:
    """A learner's side of a conversation."""

    def __init__(self, visit: LearnerVisit) -> None:
        self._microphone = visit.microphone
        self._last = _now()
        self._heard = asyncio.Event()

    async def listen(self, track: rtc.Track) -> None:
        """Take note of the sound of a tutor, until cancelled."""
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=20
        )
        try:
            async for event in stream:
                samples = np.frombuffer(event.frame.data, np.int16).astype(float)
                if np.sqrt(np.mean(samples**2)) >= AUDIBLE:
                    self._last = _now()
                    self._heard.set()
        finally:
            await stream.aclose()

    async def hold(self, turns: int) -> list[float]:
        """Take turns with the tutor."""
        await asyncio.sleep(APART * random.random())  # noqa: S311  # nothing to guess
        return [await self._turn() for _ in range(turns)]

    async def _turn(self) -> float:
        while (left := self._last + FINISHED - _now()) > 0:  # noqa: ASYNC110  # silence is no event
            await asyncio.sleep(left)
        await asyncio.sleep(THOUGHT)
        said = await self._say()
        try:
            async with asyncio.timeout_at(said + PATIENCE):
                while self._last <= said:
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            return NEVER
        return self._last - said

    async def _say(self) -> float:
        """Speak the sentence; return when its last word was over."""
        samples, until = _sentence()
        for start in range(0, len(samples), FRAME):
            piece = samples[start : start + FRAME]
            frame = rtc.AudioFrame(piece.tobytes(), SAMPLE_RATE, 1, len(piece))
            await self._microphone.capture_frame(frame)
        await self._microphone.wait_for_playout()
        return _now() - len(samples) / SAMPLE_RATE + until


@cache
def _sentence() -> tuple["np.ndarray[tuple[int], np.dtype[np.int16]]", float]:
    """Return a sentence as sound, and where in it the last word is over, in seconds."""
    samples = np.frombuffer(b"".join(synthesize(SENTENCE, voice=voice_for("en"))), "<i2")
    return samples, audible_extent(samples)[1]


def _tracks(room: rtc.Room) -> list[rtc.Track]:
    """Return the sound of the agents in a room."""
    return [
        publication.track
        for who in room.remote_participants.values()
        for publication in who.track_publications.values()
        if publication.track is not None and publication.kind == rtc.TrackKind.KIND_AUDIO
    ]


def _now() -> float:
    return asyncio.get_running_loop().time()
