"""A lesson whose engines are taken away in the middle of what they do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pytest
from livekit import rtc
from tests.acceptance.provider import KEY, Provider, provider
from tests.acceptance.voices import SpeakingLearner, entered, host_of

from loqua_host.dev.demo import HostLog
from loqua_host.dev.learner import AUDIBLE, SAMPLE_RATE, synthesise_line
from loqua_host.dev.parts import Parts
from loqua_host.system.tasks import background

pytestmark = pytest.mark.timeout(400, func_only=True)

ORDER = "Quiero un café con leche, por favor."
GREETING = "Buenos días, señora. Hoy tenemos sopa de verduras y pescado. ¿Qué desea tomar?"
FIRST = "Muy bien. Le traigo un café con leche ahora mismo."
SECOND = "De acuerdo. Enseguida viene su café con leche."

LONGEST_GAP = 4.0
"""Seconds of silence at most where an engine is replaced in the middle of what it does."""

LONGEST_WAIT = 20.0
"""Seconds to an answer at most: an engine's plugin alone waits for 30. How soon it comes where the
machine is not busy, tests/unit/job/test_fallbacks.py tells."""

SETTLE = 1.0
"""Seconds of silence after which the tutor has said all it had to say; more, where what it says may
be broken off."""

TUTOR = f"""
from livekit.agents import Agent

from loqua_host import Tutor, hookimpl


class Waiter(Agent):
    def __init__(self, lesson):
        super().__init__(instructions="Be brief.")
        self.lesson = lesson
        self.turns = 0

    async def on_user_turn_completed(self, turn_ctx, new_message):
        self.turns += 1
        coffee = "café" in new_message.text_content
        self.lesson.log.info("waiter.heard", number=self.turns, coffee=coffee)


class Plugin:
    @hookimpl
    def register_tutor(self):
        return Tutor(name="waiter")

    @hookimpl
    async def create_agent(self, lesson):
        return Waiter(lesson)

    @hookimpl
    async def on_user_ready(self, lesson):
        await lesson.session.say({GREETING!r})
        lesson.log.info("waiter.greeted")


plugin = Plugin()
"""


@dataclass(slots=True)
class HeardSound:
    """What a learner hears of the tutor, with its seconds."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, learner: SpeakingLearner) -> None:
        """Receive audio until cancelled."""
        track = await learner._tutors_track()
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=20
        )
        async for event in stream:
            self.pieces.append((_now(), bytes(event.frame.data)))
            self._news.set()

    async def until_said(self, since: float, settle: float = SETTLE) -> None:
        """Wait until something was said since then, and nothing for some seconds after it."""
        while not (times := self.audible(since)) or _now() - times[-1] < settle:
            self._news.clear()
            await self._news.wait()

    def audible(self, since: float = 0.0) -> list[float]:
        """List the seconds at which there was something to hear."""
        return [at for at, data in self.pieces if at >= since and _is_audible(data)]

    def gap(self, since: float) -> float:
        """Return the longest silence within what was said since then."""
        return max((after - before for before, after in pairwise(self.audible(since))), default=0.0)

    def pcm(self, since: float) -> bytes:
        """Return all that was heard since then."""
        return b"".join(data for at, data in self.pieces if at >= since)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_audible(data: bytes) -> bool:
    samples = np.frombuffer(data, "<i2").astype(float)
    return float(np.sqrt(np.mean(samples**2))) > AUDIBLE


@dataclass(slots=True)
class FallbackLesson:
    """A lesson with engines that can be taken away."""

    parts: Parts
    log: HostLog
    hosted: Provider
    spare: Provider


@pytest.fixture
async def running(tmp_path: Path, speech_url: str) -> AsyncIterator[FallbackLesson]:
    """Run a host with engines in lists: hosted ones first, offline ones last."""
    async with host_with_fallbacks(tmp_path, speech_url) as lesson:
        yield lesson


@asynccontextmanager
async def host_with_fallbacks(directory: Path, speech_url: str) -> AsyncIterator[FallbackLesson]:
    """Run it; both providers stand before the same speech server."""
    async with provider("", FIRST) as hosted, provider("", SECOND) as spare:
        lists = {
            "stt": [one.engine("stt", language="{language}") for one in (hosted, spare)],
            "llm": [one.engine("llm", model="m") for one in (hosted, spare)],
            "tts": [
                one.engine("tts", model="pico", voice="{language}", response_format="pcm")
                for one in (hosted, spare)
            ],
        }
        for engine in lists["stt"]:
            engine["options"]["model"] = "whisper-base"
        async with host_of(directory, speech_url, "waiter", TUTOR, engines=lists) as (parts, log):
            hosted.speech_url = spare.speech_url = parts.speech_url
            yield FallbackLesson(parts, log, hosted, spare)


async def transcribed(parts: Parts, pcm: bytes) -> str:
    """Transcribe the audio with the speech server."""
    from loqua_speech.audio import wav  # noqa: PLC0415  # not a part of every environment

    async with httpx.AsyncClient(timeout=60) as http:
        answer = await http.post(
            f"{parts.speech_url}/v1/audio/transcriptions",
            files={"file": ("heard.wav", wav(pcm, rate=SAMPLE_RATE))},
            data={"model": "whisper-base", "language": "es"},
        )
    return str(answer.raise_for_status().json()["text"])


@dataclass(slots=True)
class Dialogue:
    """A learner who orders coffee again and again, and what is heard of the answers."""

    lesson: FallbackLesson
    learner: SpeakingLearner
    order: bytes
    sound: HeardSound = field(default_factory=HeardSound)
    turns: int = 0

    async def ask(self, settle: float = SETTLE) -> float:
        """Speak an order and wait for the end of the answer; return the end of the order."""
        await self.learner.say(self.order)
        ended = _now()
        self.turns += 1
        async with asyncio.timeout(40):
            await self.lesson.log.until("waiter.heard", f"number={self.turns}", "coffee=True")
            await self.sound.until_said(ended, settle)
        return ended

    def waited(self, ended: float) -> float:
        """Return the seconds from an order to its answer."""
        return self.sound.audible(ended)[0] - ended


async def test_a_lesson_goes_on_without_any_of_its_engines(running: FallbackLesson) -> None:
    """Voice in mid-sentence, recogniser in mid-utterance, model in mid-reply.

    That the first ones serve again once they are well, tests/unit/job/test_fallbacks.py tells.
    """
    parts, log, hosted = running.parts, running.log, running.hosted
    order = await synthesise_line(f"{parts.speech_url}/v1", ORDER, "es")
    hosted.faults = {"tts": "breaks off"}
    async with entered(parts, "user_maria", "cafe") as maria, background() as tasks:
        talk = Dialogue(running, maria, order)
        sound = talk.sound
        tasks.create_task(sound.follow(maria))
        await log.until("waiter.greeted")
        await log.until("engine.switched", "kind=tts", "to=fallback")
        log.show(f"the voice broke off: {sound.gap(0):.1f} s of silence")
        assert sound.gap(0) < LONGEST_GAP
        heard = await transcribed(parts, sound.pcm(0))
        assert all(word in heard.lower() for word in ("sopa", "pescado", "tomar")), heard

        hosted.faults = {"tts": "refuses", "stt": "hangs"}
        ended = await talk.ask()
        await log.until("engine.switched", "kind=stt", "to=fallback")
        log.show(f"the recogniser hung: answered after {talk.waited(ended):.1f} s")
        assert talk.waited(ended) < LONGEST_WAIT

        hosted.faults = {"tts": "refuses", "stt": "refuses", "llm": "breaks off"}
        ended = await talk.ask(LONGEST_GAP + 0.5)
        await log.until("engine.switched", "kind=llm", "to=fallback")
        log.show(f"the model broke off: answered after {talk.waited(ended):.1f} s")
        log.show(f"the model broke off: {sound.gap(ended):.1f} s of silence")
        assert sound.gap(ended) < LONGEST_GAP
        assert "seguida" in await transcribed(parts, sound.pcm(ended))
    await log.until("lesson.recorded", "outcome=completed", "engines.tts: [0], [1] served")
    assert not any(KEY in line for line in log.lines)


async def greeted_at_once(running: FallbackLesson) -> None:
    """Check that a later lesson does not try the hanging engine again."""
    async with entered(running.parts, "user_eva", "later") as eva, background() as tasks:
        talk = Dialogue(running, eva, b"")
        tasks.create_task(talk.sound.follow(eva))
        await running.log.until("lesson.opened", "user_eva")
        began = _now()
        await talk.sound.until_said(began)
        running.log.show(f"all hang: another lesson's greeting after {talk.waited(began):.1f} s")
        assert talk.waited(began) < LONGEST_WAIT


async def test_a_lesson_begins_and_goes_on_without_its_provider(running: FallbackLesson) -> None:
    """It takes requests and never answers, as over a network that loses everything."""
    parts, log, hosted = running.parts, running.log, running.hosted
    hosted.faults = {"tts": "hangs", "stt": "hangs", "llm": "hangs"}
    order = await synthesise_line(f"{parts.speech_url}/v1", ORDER, "es")
    async with entered(parts, "user_ana", "offline") as ana, background() as tasks:
        talk = Dialogue(running, ana, order)
        tasks.create_task(talk.sound.follow(ana))
        await log.until("lesson.opened")
        began = _now()
        await log.until("waiter.greeted")
        log.show(f"all hang: greeted after {talk.waited(began):.1f} s")
        assert talk.waited(began) < LONGEST_WAIT
        ended = await talk.ask()
        log.show(f"all hang: answered after {talk.waited(ended):.1f} s")
        assert talk.waited(ended) < LONGEST_WAIT
        await greeted_at_once(running)
    await log.until("lesson.recorded", "outcome=completed")
