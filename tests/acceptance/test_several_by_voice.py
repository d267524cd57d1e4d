"""Two learners who speak with one tutor: who said what is known to it and written in the room."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from livekit import rtc
from livekit.agents.types import (
    ATTRIBUTE_TRANSCRIPTION_FINAL,
    ATTRIBUTE_TRANSCRIPTION_TRACK_ID,
    TOPIC_TRANSCRIPTION,
)

from loqua_host.dev.demo import HostLog, run_host_process
from loqua_host.dev.learner import SAMPLE_RATE, joined, synthesise
from loqua_host.dev.parts import Parts, local_parts, write_config

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300, func_only=True)]

ROOT = Path(__file__).parents[2]
FRAME = SAMPLE_RATE // 50

TUTOR = """
from livekit.agents import Agent, StopResponse

from loqua_host import Turns, Tutor, hookimpl


class Listener(Agent):
    def __init__(self, lesson):
        super().__init__(instructions="")
        self.lesson = lesson
        self.turns = Turns()
        self.number = 0

    async def on_user_turn_completed(self, turn_ctx, new_message):
        turn = self.turns.hear(new_message, None)
        self.number += 1
        self.lesson.log.info("several.heard", number=self.number, learner=turn.learner.user_id)
        raise StopResponse


class Plugin:
    @hookimpl
    def register_tutor(self):
        return Tutor(name="several")

    @hookimpl
    async def create_agent(self, lesson):
        return Listener(lesson)

    @hookimpl
    async def on_user_ready(self, lesson):
        lesson.log.info("several.ready")

    @hookimpl
    async def on_progress_tick(self, lesson):
        lesson.log.info("several.tick", others=len(lesson.others))


plugin = Plugin()
"""


@dataclass(slots=True)
class Voice:
    """A learner in the room, with a microphone and an eye on the transcripts."""

    room: rtc.Room
    source: rtc.AudioSource
    track: str
    transcripts: list[tuple[str, str | None]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _reading: set["asyncio.Task[None]"] = field(default_factory=set)

    @property
    def name(self) -> tuple[str, str]:
        """What a transcript of this learner's words bears: identity and track."""
        return self.room.local_participant.identity, self.track

    def follow(self) -> None:
        """Note whose each final transcript is, and by which track it was heard."""
        self.room.register_text_stream_handler(TOPIC_TRANSCRIPTION, self._on_text)

    def _on_text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        task = asyncio.create_task(self._read(reader, identity))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, reader: rtc.TextStreamReader, identity: str) -> None:
        await reader.read_all()
        told = reader.info.attributes or {}
        if told.get(ATTRIBUTE_TRANSCRIPTION_FINAL) == "true":
            self.transcripts.append((identity, told.get(ATTRIBUTE_TRANSCRIPTION_TRACK_ID)))
            self._news.set()

    async def until_transcripts(self, count: int) -> None:
        """Wait until so many transcripts are final."""
        while len(self.transcripts) < count:
            self._news.clear()
            await self._news.wait()

    async def say(self, pcm: bytes, loudness: float = 1.0) -> None:
        """Speak."""
        samples = (np.frombuffer(pcm, "<i2") * loudness).astype("<i2")
        for start in range(0, len(samples), FRAME):
            part = samples[start : start + FRAME]
            await self.source.capture_frame(
                rtc.AudioFrame(part.tobytes(), SAMPLE_RATE, 1, len(part))
            )
        await self.source.wait_for_playout()


def install(directory: Path) -> str:
    """Put the tutor where a host finds it, and give the host's PYTHONPATH."""
    info = directory / "several-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: several\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[loqua_host]\nseveral = several:plugin\n")
    (directory / "several.py").write_text(TUTOR)
    return os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "")])


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Run a host whose one tutor hears everyone."""
    async with local_parts(print) as parts:
        write_config(ROOT / "config", tmp_path / "config", parts.speech_url, tick_every=1)
        for file in (tmp_path / "config/tutors").iterdir():
            file.unlink()
        tutor = {"worker_type": "automatic", "hears": "everyone", "language": "es"}
        (tmp_path / "config/tutors/several.yaml").write_text(yaml.safe_dump(tutor))
        parts.environ["PYTHONPATH"] = install(tmp_path / "site")
        async with run_host_process(tmp_path / "config", parts, print) as log:
            await log.until("host.ready")
            yield parts, log


@asynccontextmanager
async def entered(parts: Parts, user_id: str) -> AsyncIterator[Voice]:
    """Have a learner in the room, with a microphone."""
    async with httpx.AsyncClient(base_url=parts.api_url) as api:
        (await api.put(f"/dev/learners/{user_id}", json={})).raise_for_status()
        body = {"user_id": user_id, "room_name": "several"}
        answer = (await api.post("/api/v1/rooms/join", json=body)).raise_for_status().json()
    async with joined(answer["url"], answer["token"]) as room:
        source = rtc.AudioSource(SAMPLE_RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await room.local_participant.publish_track(track, options)
        yield Voice(room, source, publication.sid)
        await source.aclose()


async def test_a_tutor_that_hears_everyone_knows_who_of_them_speaks(
    host: tuple[Parts, HostLog],
) -> None:
    """One after the other, and the louder of two at once; transcripts in the room say so."""
    parts, log = host
    texts = ("Buenos días, me llamo María.", "Quiero un café con leche, por favor.")
    hello, coffee = [await synthesise(f"{parts.speech_url}/v1", text, "es") for text in texts]
    async with entered(parts, "user_maria") as maria:
        await log.until("several.ready")
        async with entered(parts, "user_ana") as ana:
            maria.follow()
            await log.until("several.tick", "others=1")
            await asyncio.sleep(1)  # both microphones are subscribed to
            await maria.say(hello)
            await log.until("several.heard", "number=1", "learner=user_maria")
            await ana.say(coffee)
            await log.until("several.heard", "number=2", "learner=user_ana")
            await asyncio.gather(maria.say(coffee, 0.1), ana.say(coffee))
            await log.until("several.heard", "number=3", "learner=user_ana")
            await maria.say(hello)
            await asyncio.sleep(1)  # while that is still recognised
            await ana.say(coffee)
            spoken = [maria, ana, ana, maria, ana]
            await maria.until_transcripts(len(spoken))
            assert maria.transcripts == [one.name for one in spoken]
