"""Learners with microphones of their own, and hosts whose tutors are written for a test."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import httpx
import numpy as np
import yaml
from livekit import rtc
from livekit.agents.types import (
    ATTRIBUTE_TRANSCRIPTION_FINAL,
    ATTRIBUTE_TRANSCRIPTION_TRACK_ID,
    TOPIC_CHAT,
    TOPIC_TRANSCRIPTION,
)

from loqua_host.dev.demo import HostLog, run_host_process
from loqua_host.dev.learner import SAMPLE_RATE, joined
from loqua_host.dev.parts import RECONNECT_TIMEOUT, Parts, local_parts, write_config
from loqua_host.system.tasks import uncancelled

ROOT = Path(__file__).parents[2]
FRAME = SAMPLE_RATE // 50

ANSWER_SECONDS = 15.0
"""Seconds after which people say again what nobody has answered."""


@dataclass(frozen=True, slots=True)
class RoomTranscript:
    """A published transcript: its participant, its track, and its text."""

    identity: str
    track: str | None
    text: str


@dataclass(slots=True)
class TranscriptReader:
    """A learner in the room, with an eye on the transcripts."""

    room: rtc.Room
    transcripts: list[RoomTranscript] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _reading: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def identity(self) -> str:
        """Return the participant's identity in the room."""
        return self.room.local_participant.identity

    def follow(self) -> None:
        """Note each final transcript."""
        self.room.register_text_stream_handler(TOPIC_TRANSCRIPTION, self._on_text)

    def _on_text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        task = asyncio.create_task(self._read(reader, identity))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, reader: rtc.TextStreamReader, identity: str) -> None:
        text = await reader.read_all()
        told = reader.info.attributes or {}
        if told.get(ATTRIBUTE_TRANSCRIPTION_FINAL) == "true":
            track = told.get(ATTRIBUTE_TRANSCRIPTION_TRACK_ID)
            self.transcripts.append(RoomTranscript(identity, track, text))
            self._news.set()

    async def until_transcripts(self, count: int) -> None:
        """Wait until so many transcripts are final."""
        while len(self.transcripts) < count:
            self._news.clear()
            await self._news.wait()

    async def until_written(self, words: str) -> None:
        """Wait until a final transcript has these words: a tutor's comes as it has said them."""
        while not any(words in one.text for one in self.transcripts):
            await self.until_transcripts(len(self.transcripts) + 1)

    async def type(self, text: str) -> None:
        """Write to the tutor."""
        await self.room.local_participant.send_text(text, topic=TOPIC_CHAT)


@dataclass(slots=True, kw_only=True)
class SpeakingLearner(TranscriptReader):
    """A learner who has a microphone, too."""

    source: rtc.AudioSource
    track: str

    async def say(self, pcm: bytes, loudness: float = 1.0) -> None:
        """Speak."""
        samples = (np.frombuffer(pcm, "<i2") * loudness).astype("<i2")
        for start in range(0, len(samples), FRAME):
            await self._capture(samples[start : start + FRAME])
        await self.source.wait_for_playout()

    async def listen_aloud(self, delay: float, loudness: float) -> None:
        """Play the tutor on a loudspeaker that the microphone also picks up, until cancelled.

        Silent all the while: who speaks themselves, do so before or after.
        """
        stream = rtc.AudioStream.from_track(
            track=await self._tutors_track(),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            frame_size_ms=20,
        )
        clock = asyncio.get_running_loop().time
        try:
            await self._capture(np.zeros(int(delay * SAMPLE_RATE), "<i2"))
            played = clock() + delay
            async for event in stream:
                # A loudspeaker that has fallen behind leaves something out; its delay stays.
                if played > clock() + 2 * delay:
                    continue
                played = max(played, clock()) + event.frame.duration
                samples = np.frombuffer(event.frame.data, "<i2") * loudness
                await self._capture(samples.astype("<i2"))
        finally:
            await stream.aclose()

    async def _tutors_track(self) -> rtc.Track:
        heard: asyncio.Future[rtc.Track] = asyncio.get_running_loop().create_future()
        self.room.on("track_subscribed", lambda track, *_: heard.done() or heard.set_result(track))
        for tutor in self.room.remote_participants.values():
            for publication in tutor.track_publications.values():
                if publication.track is not None:
                    return publication.track
        return await heard

    async def _capture(self, samples: "np.ndarray[Any, np.dtype[np.int16]]") -> None:
        frame = rtc.AudioFrame(samples.tobytes(), SAMPLE_RATE, 1, len(samples))
        # Cancelled midway it goes on in LiveKit, which refuses the next frame until it is done.
        await uncancelled(self.source.capture_frame(frame))


async def say_until(
    learner: SpeakingLearner, words: bytes, answered: Coroutine[Any, Any, None]
) -> None:
    """Say words, and again as people do until they are answered: a machine that stalls mishears."""
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(answered)
        while not waiting.done():
            await learner.say(words)
            await asyncio.wait([waiting], timeout=ANSWER_SECONDS)


def words_of(text: str) -> frozenset[str]:
    """Split a text into its words."""
    return frozenset(re.findall(r"[^\W\d_]+", text.lower()))


def new(name: str) -> str:
    """Return a name that no other test has, nor another try of the same."""
    return f"{name}-{uuid4().hex[:8]}"


def install(directory: Path, name: str, code: str) -> None:
    """Put a tutor's module and its entry point where a host finds it on its PYTHONPATH."""
    info = directory / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[loqua_host]\n{name} = {name}:plugin\n")
    (directory / f"{name}.py").write_text(code)


@dataclass(frozen=True, slots=True)
class WrittenTutor:
    """A tutor for one test.

    Attributes:
        code: Its module, which has `plugin`.
        keys: More of its file in config/tutors.
    """

    code: str
    keys: dict[str, object] = field(default_factory=dict)


def tutor_of(name: str, **keys: object) -> WrittenTutor:
    """Return a tutor of tests/acceptance/tutors."""
    code = (Path(__file__).parent / f"tutors/{name}.py").read_text("utf-8")
    return WrittenTutor(code, keys)


def called(name: str) -> dict[str, object]:
    """Return the keys of a tutor that is dispatched by its name."""
    return {"worker_type": "explicit", "agent_name": name}


@asynccontextmanager
async def host_of(
    directory: Path,
    speech_url: str | None,
    tutors: Mapping[str, WrittenTutor],
    *,
    max_lessons: int | Literal["auto"] | None = None,
    reconnect_timeout: float = RECONNECT_TIMEOUT,
) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Run a host for the length of a block that has these tutors only.

    Args:
        directory: For its config and the tutors' modules.
        speech_url: A speech server that runs already.
        tutors: By the names of tutor, plugin and module; dispatched automatically by default.
        max_lessons: The host's, where it is not that of the demo.
        reconnect_timeout: Seconds that a lesson waits for a learner who left, and at most for the
            recognition of what they were saying.
    """
    async with local_parts(print, speech_url) as parts:
        write_config(
            ROOT / "config",
            directory / "config",
            parts.speech_url,
            tick_every=1,
            reconnect_timeout=reconnect_timeout,
        )
        if max_lessons is not None:
            overlay = directory / "config/environments/development.yaml"
            written = yaml.safe_load(overlay.read_text())
            written["lessons"]["max_lessons"] = max_lessons
            overlay.write_text(yaml.safe_dump(written))
        for file in (directory / "config/tutors").iterdir():
            file.unlink()
        for name, tutor in tutors.items():
            keys = {"worker_type": "automatic", "language": "es", **tutor.keys}
            (directory / f"config/tutors/{name}.yaml").write_text(yaml.safe_dump(keys))
            install(directory / "site", name, tutor.code)
        paths = [str(directory / "site"), os.environ.get("PYTHONPATH", "")]
        parts.environ["PYTHONPATH"] = os.pathsep.join(paths)
        async with run_host_process(directory / "config", parts, print) as log:
            await log.until("host.ready")
            yield parts, log


async def join(parts: Parts, user_id: str, room: str, **body: str) -> dict[str, str]:
    """Return the address, the token and the session id that the API gives a learner."""
    body |= {"user_id": user_id, "room_name": room}
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        answer = (await api.post("/api/v1/rooms/join", json=body)).raise_for_status()
    return dict(answer.json())


@asynccontextmanager
async def present(
    parts: Parts, user_id: str, room_name: str, **body: str
) -> AsyncIterator[rtc.Room]:
    """Keep a learner in the room, without a microphone."""
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        (await api.put(f"/dev/learners/{user_id}", json={})).raise_for_status()
    admitted = await join(parts, user_id, room_name, **body)
    async with joined(admitted["url"], admitted["token"]) as room:
        yield room


@asynccontextmanager
async def entered(
    parts: Parts,
    user_id: str,
    room_name: str,
    published_as: "rtc.TrackSource.ValueType" = rtc.TrackSource.SOURCE_MICROPHONE,
    **body: str,
) -> AsyncIterator[SpeakingLearner]:
    """Keep a learner in the room, with a microphone."""
    async with present(parts, user_id, room_name, **body) as room:
        source = rtc.AudioSource(SAMPLE_RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("voice", source)
        options = rtc.TrackPublishOptions(source=published_as)
        publication = await room.local_participant.publish_track(track, options)
        yield SpeakingLearner(room, source=source, track=publication.sid)
        await source.aclose()


async def arrived(parts: Parts, kind: str, user_id: str) -> list[dict[str, Any]]:
    """List what the dev API received of a kind for a learner, oldest first."""
    async with httpx.AsyncClient(base_url=parts.api_url, timeout=60) as api:
        records = (await api.get("/dev/records")).raise_for_status().json()
    return [one for one in records[kind] if one["user_id"] == user_id]
