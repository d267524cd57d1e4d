"""Lessons whose voice fails: engines that are taken away, and sessions that hear or say nothing.

All at once in one host, as they mostly wait. That an engine which hangs from the start costs five
seconds once, and that the first one serves again once it is well, tests/unit/job/test_fallbacks.py
tells; how each kind of engine may fail, tests/integration/job/test_engines.py.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio
from livekit import rtc
from tests.acceptance.provider import KEY, Provider, provider
from tests.acceptance.tutors.barista import GREETING
from tests.acceptance.voices import (
    SpeakingLearner,
    arrived,
    called,
    entered,
    host_of,
    new,
    say_until,
    tutor_of,
)

from loqua_host.dev.demo import HostLog
from loqua_host.dev.learner import AUDIBLE, SAMPLE_RATE, synthesise_line
from loqua_host.dev.parts import Parts
from loqua_host.system.tasks import background

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300, func_only=True),
]

ORDER = "Quiero un café con leche, por favor."
FIRST = "Muy bien. Le traigo un café con leche ahora mismo."
SECOND = "De acuerdo. Enseguida viene su café con leche."

STUCK = {"deaf": "hearing", "blind": "hearing", "mute": "speaking"}
"""What fails in a session, and which part of its voice the host finds stuck."""

PATIENCE = 240.0
"""Seconds that the longest lesson takes at most, on a machine that is busy with something else."""

LEAST_HEARD = 0.8
"""Share of the greeting's letters: the sound of a machine that stalls has gaps, in which words are
misheard. Each of its sentences has a quarter of them or more."""

SETTLE = 3.0
"""Seconds of silence after which the tutor has said all it had to say: the sound of a machine that
stalls has gaps, and the other lessons take longer all the same."""


@dataclass(slots=True)
class HeardSound:
    """The tutor's sound that a learner has received, in seconds."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    _sounded: float = 0.0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, learner: SpeakingLearner) -> None:
        """Receive audio until cancelled."""
        track = await learner._tutors_track()
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=SAMPLE_RATE, num_channels=1, frame_size_ms=20
        )
        async for event in stream:
            data = bytes(event.frame.data)
            self.pieces.append((_now(), data))
            if _is_audible(data):
                self._sounded = _now()
            self._news.set()

    async def until_quiet(self) -> None:
        """Wait until nothing is heard any more: sound comes later than its words."""
        while _now() - self._sounded < SETTLE:
            self._news.clear()
            await self._news.wait()

    def pcm(self, since: float) -> bytes:
        """Return all that was heard since then."""
        return b"".join(data for at, data in self.pieces if at >= since)


def _is_audible(data: bytes) -> bool:
    samples = np.frombuffer(data, "<i2").astype(float)
    return float(np.sqrt(np.mean(samples**2))) > AUDIBLE


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass(slots=True)
class FallbackLesson:
    """A lesson with engines that can be taken away."""

    parts: Parts
    log: HostLog
    hosted: Provider


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


def share_heard(said: str, heard: str) -> float:
    """Return the share of a text's letters that were heard in their order, 0 to 1."""
    letters, others = ("".join(filter(str.isalpha, it.lower())) for it in (said, heard))
    same = SequenceMatcher(None, letters, others, autojunk=False).get_matching_blocks()
    return sum(block.size for block in same) / len(letters)


@dataclass(slots=True)
class Dialogue:
    """A learner who orders coffee again and again, and what is heard of the answers."""

    lesson: FallbackLesson
    learner: SpeakingLearner
    user: str
    order: bytes
    sound: HeardSound = field(default_factory=HeardSound)

    async def ask(self, answer: str) -> str:
        """Speak an order, wait until its answer has been said, and return what was heard of it."""
        began, log = _now(), self.lesson.log
        orders = sum("barista.ordered" in it and self.user in it for it in log.lines)
        ordered = log.until("barista.ordered", f"number={orders + 1}", self.user)
        await say_until(self.learner, self.order, ordered)
        await self.learner.until_written(answer)
        await self.sound.until_quiet()
        return await transcribed(self.lesson.parts, self.sound.pcm(began))


async def taught_without_engines(lesson: FallbackLesson, order: bytes) -> None:
    """Lose the voice in mid-sentence, the recogniser in mid-utterance, the model in mid-reply."""
    log, hosted, user = lesson.log, lesson.hosted, new("user")
    async with (
        entered(lesson.parts, user, new("cafe"), agent_name="barista") as maria,
        background() as tasks,
    ):
        talk = Dialogue(lesson, maria, user, order)
        maria.follow()
        tasks.create_task(talk.sound.follow(maria))
        await log.until("barista.greeted", user)
        await log.until("engine.switched", "kind=tts", "to=fallback", user)
        await talk.sound.until_quiet()
        heard = await transcribed(lesson.parts, talk.sound.pcm(0))
        assert share_heard(GREETING, heard) > LEAST_HEARD, heard

        hosted.faults = {"tts": "refuses", "stt": "hangs"}
        assert "leche" in await talk.ask(FIRST)
        await log.until("engine.switched", "kind=stt", "to=fallback", user)

        hosted.faults = {"tts": "refuses", "stt": "refuses", "llm": "breaks off"}
        assert "seguida" in await talk.ask(SECOND)
        await log.until("engine.switched", "kind=llm", "to=fallback", user)
    await log.until("lesson.recorded", "outcome=completed", "engines.tts: [0], [1] served", user)
    assert not any(KEY in line for line in log.lines)


async def taught_by_another(lesson: FallbackLesson, failing: str, order: bytes) -> None:
    """Stay in a quiet room until its tutor is replaced, and be heard by the next one."""
    parts, log, user = lesson.parts, lesson.log, new("user")
    async with entered(parts, user, new(failing)) as learner:
        await log.until("stuck.ready", "resumed=False", user)
        async with background() as tasks:
            tasks.create_task(learner.say(bytes(60 * SAMPLE_RATE * 2)))  # a quiet room
            await log.until("lesson.voice_stuck", f"part={STUCK[failing]}", user)
        await log.until("stuck.ready", "resumed=True", user)
        await say_until(learner, order, log.until("stuck.heard", user))
    await log.until("record.delivered", user)
    assert len(await arrived(parts, "sessions", user)) == 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    tmp_path_factory: pytest.TempPathFactory, speech_url: str
) -> AsyncIterator[FallbackLesson]:
    """Run a host with engines in lists for one tutor: hosted ones first, offline ones last."""
    async with provider(speech_url, FIRST) as hosted, provider(speech_url, SECOND) as spare:
        hosted.faults = {"tts": "breaks off"}
        both = (hosted, spare)
        engines = {
            "stt": [it.engine("stt", language="{language}", model="whisper-base") for it in both],
            "llm": [it.engine("llm", model="m") for it in both],
            "tts": [
                it.engine("tts", model="pico", voice="{language}", response_format="pcm")
                for it in both
            ],
        }
        tutors = {
            "stuck": tutor_of("stuck", max_concurrent_jobs=len(STUCK)),
            "barista": tutor_of("barista", **called("barista"), engines=engines),
        }
        directory = tmp_path_factory.mktemp("failures")
        async with host_of(directory, speech_url, tutors) as (parts, log):
            yield FallbackLesson(parts, log, hosted)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lessons(running: FallbackLesson) -> dict[str, "asyncio.Task[None]"]:
    """Return the lessons, which have all come to an end."""
    order = await synthesise_line(f"{running.parts.speech_url}/v1", ORDER, "es")
    lessons = {name: taught_by_another(running, name, order) for name in STUCK}
    lessons["engines"] = taught_without_engines(running, order)
    taught = {name: asyncio.create_task(in_time(lesson)) for name, lesson in lessons.items()}
    await asyncio.wait(taught.values())
    return taught


async def in_time(lesson: Coroutine[Any, Any, None]) -> None:
    """Teach a lesson to its end, or fail where it hangs."""
    async with asyncio.timeout(PATIENCE):
        await lesson


async def test_a_lesson_goes_on_without_any_of_its_engines(
    lessons: dict[str, "asyncio.Task[None]"],
) -> None:
    """Voice in mid-sentence, recogniser in mid-utterance, model in mid-reply."""
    lessons["engines"].result()


@pytest.mark.parametrize("failing", STUCK)
async def test_a_tutor_that_is_deaf_or_mute_is_replaced(
    lessons: dict[str, "asyncio.Task[None]"], failing: str
) -> None:
    """By another job of the same lesson, by which the learner is heard."""
    lessons[failing].result()
