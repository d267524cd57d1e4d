"""A learner's wait for a reply, by stage: `python -m tests.bench.replies [TURNS]`.

The conversation tutor, in a session as lessons have it, with a speech server of its own: SVOX Pico
says the model answers of its scenarios, behind which there is digital silence, as behind a
microphone with noise suppression. The sound comes in real time, but not through LiveKit. Prints
JSON: for each stage the seconds since the learner's last sound.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import numpy as np
import yaml
from livekit import rtc
from livekit.agents import UserInputTranscribedEvent, UserStateChangedEvent
from livekit.agents.voice.io import AudioInput, AudioOutput, AudioOutputCapabilities, TextOutput

from loqua_host import Learner, LearnerContext, Lesson
from loqua_host.dev.learner import synthesise_line
from loqua_host.dev.parts import run_speech
from loqua_host.job.voice.nodes import Agents
from loqua_host.job.voice.recognitions import Recognitions
from loqua_host.job.voice.session import build_session
from loqua_host.job.voice.turn_ends import following_words
from loqua_host.settings.engines import Engines
from loqua_host.settings.templates import TEMPLATES
from loqua_tutor_conversation import ConversationSettings, create_agent, on_user_ready
from loqua_tutor_conversation.course import current_turn
from loqua_tutor_conversation.scenario import Scenario, load_scenarios
from loqua_tutor_conversation.tutor import ConversationTutor

TURNS = 42
RATE = 24_000
FRAME = RATE // 50
SILENT = 200
"""Of 32,767: samples below it are no speech."""

STAGES = ("detected", "recognised", "text", "sound")
"""The end of speech, its text, the first text of the reply, and its first sound."""

LONGEST_WAIT = 8.0
PAUSE = 0.5
"""Seconds after which the learner answers."""

AGREES = {"en": "Yes, please.", "es": "Sí, por favor.", "fr": "Oui, s'il vous plaît."}


class Marks:
    """The times at which the reply to a turn reached each stage.

    Attributes:
        at: The times so far.
        sounded: Set by the reply's first sound.
    """

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self.sounded = asyncio.Event()

    def begin(self) -> None:
        """Forget what came before the learner's last sound."""
        self.at.clear()
        self.sounded.clear()

    def mark(self, stage: str) -> None:
        """Note that a stage is reached; the first time counts."""
        self.at.setdefault(stage, time.time())
        if stage == "sound":
            self.sounded.set()


class PacedInput(AudioInput):
    """Audio in real time, with silence between utterances.

    Attributes:
        last_sound: When the last sound of speech was given.
    """

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self.last_sound = 0.0
        self.spoken = asyncio.Event()
        self._samples = np.zeros(0, np.int16)
        self._due = 0.0

    def speak(self, pcm: bytes) -> None:
        """Start to play a sentence."""
        self._samples = np.frombuffer(pcm, np.int16)
        self.spoken.clear()

    async def __anext__(self) -> rtc.AudioFrame:
        """Return the next 20 ms, when they are over."""
        now = time.time()
        self._due = max(self._due + FRAME / RATE, now - 1)
        await asyncio.sleep(self._due - now)
        samples, self._samples = self._samples[:FRAME], self._samples[FRAME:]
        if np.abs(samples, dtype=np.int32).max(initial=0) > SILENT:
            self.last_sound = time.time()
        elif not np.abs(self._samples, dtype=np.int32).max(initial=0) > SILENT:
            self.spoken.set()
        padded = np.pad(samples, (0, FRAME - len(samples)))
        return rtc.AudioFrame(padded.tobytes(), RATE, 1, FRAME)


class InstantOutput(AudioOutput):
    """An audio output without playing time, which notes the start of each speech."""

    def __init__(self, marks: Marks) -> None:
        super().__init__(
            label="speaker", sample_rate=RATE, capabilities=AudioOutputCapabilities(pause=False)
        )
        self._marks = marks
        self._seconds = 0.0

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Play a frame."""
        await super().capture_frame(frame)
        if not self._seconds:
            self._marks.mark("sound")
            self.on_playback_started(created_at=time.time())
        self._seconds += frame.duration

    def flush(self) -> None:
        """Finish the speech."""
        super().flush()
        if self._seconds:
            self.on_playback_finished(playback_position=self._seconds, interrupted=False)
        self._seconds = 0.0

    def clear_buffer(self) -> None:
        """Drop nothing: all is played."""


class Captions(TextOutput):
    """A text output that notes the start of each reply."""

    def __init__(self, marks: Marks) -> None:
        super().__init__(label="captions", next_in_chain=None)
        self._marks = marks

    async def capture_text(self, text: str) -> None:
        """Take a part of the text."""
        if text:
            self._marks.mark("text")

    def flush(self) -> None:
        """Finish the text."""


@dataclass(frozen=True, slots=True)
class MeasuredSession:
    """A session with its microphone, and the marks of the latest turn."""

    lesson: Lesson[Any]
    microphone: PacedInput
    marks: Marks

    async def answer(self, pcm: bytes) -> dict[str, float]:
        """Speak, and return the seconds from the last sound to each stage."""
        await asyncio.sleep(PAUSE)
        self.microphone.speak(pcm)
        await self.microphone.spoken.wait()
        self.marks.begin()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.marks.sounded.wait(), LONGEST_WAIT)
        last = self.microphone.last_sound
        return {stage: at - last for stage, at in self.marks.at.items()}


def engines(url: str) -> Engines:
    """Return the engines that the packaged config/ has for development."""
    packaged = (TEMPLATES / "environments" / "development.yaml").read_text("utf-8")
    written: dict[str, Any] = yaml.safe_load(packaged)["engines"]
    for engine in written.values():
        engine["options"]["base_url"] = f"{url}/v1"
    return Engines.model_validate(written)


@asynccontextmanager
async def running(url: str, scenario: Scenario) -> AsyncIterator[MeasuredSession]:
    """Run a lesson's session up to the tutor's first question."""
    session = build_session(engines(url), scenario.language, {})
    marks = Marks()
    microphone = session.input.audio = PacedInput()
    session.output.audio, session.output.transcription = InstantOutput(marks), Captions(marks)
    lesson: Lesson[Any] = Lesson(
        id="1",
        visit="1",
        room="1",
        learner=Learner(user_id="1", identity="1"),
        context=LearnerContext(),
        language=scenario.language,
        settings=ConversationSettings(scenario=scenario.name, level=scenario.level),
        session=session,
    )
    lesson.agent = await create_agent(lesson)
    Agents(session, [Recognitions().attach]).watch()

    def on_user(event: UserStateChangedEvent) -> None:
        if event.old_state == "speaking":
            marks.mark("detected")

    def on_text(event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            marks.mark("recognised")

    session.on("user_state_changed", on_user)
    session.on("user_input_transcribed", on_text)
    expects = lesson.expects or (lambda _: False)
    with following_words(session, scenario.language, expects):
        await session.start(lesson.agent, record=False)
        try:
            await on_user_ready(lesson)
            yield MeasuredSession(lesson, microphone, marks)
        finally:
            await session.aclose()


async def talk(url: str, scenario: Scenario) -> AsyncIterator[dict[str, float]]:
    """Play a scenario's conversation, and yield the waits for each reply."""
    async with running(url, scenario) as stage:
        tutor = stage.lesson.get_agent(ConversationTutor)
        said: dict[str, bytes] = {}
        while not tutor.state.over:
            text = _line(tutor)
            if text not in said:
                said[text] = await synthesise_line(f"{url}/v1", text, scenario.language)
            yield await stage.answer(said[text])


def _line(tutor: ConversationTutor) -> str:
    turn = current_turn(tutor.state, tutor.course)
    return turn.model if turn and not tutor.state.open_question else AGREES[tutor.course.code]


async def measure(turns: int) -> list[dict[str, float]]:
    """Return the waits of so many replies."""
    waits: list[dict[str, float]] = []
    async with run_speech(_print_progress) as url:
        for scenario in load_scenarios():
            async for waited in talk(url, scenario):
                waits.append(waited)
                _print_progress(
                    ", ".join(f"{name} {seconds:.2f}" for name, seconds in waited.items())
                )
                if len(waits) >= turns:
                    return waits
    return waits


def summarise(waits: list[dict[str, float]]) -> Iterator[tuple[str, Any]]:
    """Yield the number of turns, of those without a reply, and each stage's spread."""
    answered = [it for it in waits if "sound" in it]
    yield "turns", len(waits)
    yield "unanswered", len(waits) - len(answered)
    for stage in STAGES:
        seconds = [it[stage] for it in answered if stage in it]
        p95 = quantiles(seconds, n=20, method="inclusive")[-1]
        yield stage, {"median": round(median(seconds), 2), "p95": round(p95, 2)}


def _print_progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    found = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else TURNS))
    print(json.dumps(dict(summarise(found)), indent=1))  # noqa: T201  # the result
