"""Six lessons at once, each with words of its own: none turns up in another's."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.acceptance.voices import (
    SpeakingLearner,
    TranscriptReader,
    arrived,
    entered,
    host_of,
    present,
)

from loqua_host.dev.demo import HostLog
from loqua_host.dev.learner import synthesise_line
from loqua_host.dev.parts import Parts

pytestmark = pytest.mark.timeout(300, func_only=True)

SPOKEN = (
    "Quiero un café con leche.",
    "Mi hermano trabaja en el hospital.",
)
TYPED = (
    "manzana naranja limón",
    "perro gato caballo",
    "martillo clavo sierra",
    "guitarra piano tambor",
)
LESSONS = len(SPOKEN) + len(TYPED)
PATIENCE = 45.0
"""Seconds that a learner waits for an answer."""

SHARED = frozenset(["he", "oído", "un", "con", "mi", "en", "el", "quiero"])
"""Words that say nothing of whose they are."""

TUTOR = """
from livekit.agents import Agent, StopResponse

from loqua_host import LessonReport, Progress, Tutor, Word, hookimpl


class Parrot(Agent):
    def __init__(self, lesson):
        super().__init__(instructions="")
        self.lesson = lesson

    async def on_user_turn_completed(self, turn_ctx, new_message):
        heard(self.lesson).append(new_message.text_content)
        await self.session.say("He oído: " + new_message.text_content)
        raise StopResponse


def heard(lesson):
    return lesson.state.setdefault("heard", [])


def words(lesson):
    return [word for text in heard(lesson) for word in text.split()]


class Plugin:
    @hookimpl
    def register_tutor(self):
        return Tutor(name="parrot")

    @hookimpl
    async def create_agent(self, lesson):
        return Parrot(lesson)

    @hookimpl
    async def on_user_ready(self, lesson):
        lesson.log.info("parrot.ready")

    @hookimpl
    async def on_progress_tick(self, lesson):
        return Progress(words_learned=len(words(lesson)))

    @hookimpl
    async def on_session_end(self, lesson, ending):
        met = tuple(Word(word=word, translation=word, language="es") for word in words(lesson))
        done = Progress(words_learned=len(met))
        return LessonReport(progress=done, new_vocabulary=met, topics_covered=tuple(heard(lesson)))


plugin = Plugin()
"""


@dataclass(frozen=True, slots=True)
class ObservedLesson:
    """All that could be seen of one lesson: in its room, and by the API."""

    words: frozenset[str]
    seen: str

    def of(self, others: frozenset[str]) -> frozenset[str]:
        """Return words of others that are in it."""
        return words_of(self.seen) & others


def name_of(number: int) -> str:
    """Return a learner's user id, none of which is the beginning of another."""
    return f"user_{number:02}"


def words_of(text: str) -> frozenset[str]:
    """Split a text into its words."""
    return frozenset(re.findall(r"[^\W\d_]+", text.lower()))


@pytest.fixture
async def host(tmp_path: Path, speech_url: str) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Run a host that lets all lessons in."""
    async with host_of(
        tmp_path, speech_url, "parrot", TUTOR, max_lessons=LESSONS, max_concurrent_jobs=LESSONS
    ) as running:
        yield running


async def test_no_learner_hears_or_reads_another_s_words(host: tuple[Parts, HostLog]) -> None:
    """Two speak and the others type, all at the same time, and hear what they said.

    Where jobs share a forkserver, one's words came to another (livekit/livekit#4632).
    """
    parts, log = host
    sound = [await synthesise_line(f"{parts.speech_url}/v1", text, "es") for text in SPOKEN]
    async with AsyncExitStack() as rooms:
        speakers: list[SpeakingLearner] = []
        typists: list[TranscriptReader] = []
        for number in range(LESSONS):
            user_id, room = name_of(number), f"room_{number:02}"
            if number < len(SPOKEN):
                speakers.append(await rooms.enter_async_context(entered(parts, user_id, room)))
            else:
                there = await rooms.enter_async_context(present(parts, user_id, room))
                typists.append(TranscriptReader(there))
        for number in range(LESSONS):
            await log.until("parrot.ready", name_of(number))
        learners = [*speakers, *typists]
        for one in learners:
            one.follow()
        await asyncio.gather(
            *(speak(*it) for it in zip(speakers, sound, SPOKEN, strict=True)),
            *(one.type(text) for one, text in zip(typists, TYPED, strict=True)),
            *(until_answered(*it) for it in zip(typists, TYPED, strict=True)),
        )
    for number in range(LESSONS):
        await log.until("record.delivered", name_of(number))
    lessons = [
        ObservedLesson(words_of(text) - SHARED, await seen_of(parts, number, learner))
        for number, (text, learner) in enumerate(zip((*SPOKEN, *TYPED), learners, strict=True))
    ]
    everything = frozenset[str]().union(*(one.words for one in lessons))
    for one in lessons:
        assert one.of(everything) <= one.words
        assert one.of(one.words)
    for one in lessons[len(SPOKEN) :]:
        assert one.of(one.words) == one.words  # what is typed is not misheard


async def speak(learner: SpeakingLearner, sound: bytes, text: str) -> None:
    """Speak, and repeat it without an answer, as people do: a busy machine mishears."""
    answered = asyncio.create_task(until_answered(learner, text))
    while not answered.done():
        await learner.say(sound)
        await asyncio.wait([answered], timeout=PATIENCE)
    answered.result()


async def until_answered(learner: TranscriptReader, text: str) -> None:
    """Wait until the tutor says again what a learner said; a busy machine cuts that in two."""
    said: frozenset[str] = frozenset()
    while not said & (words_of(text) - SHARED):
        await learner.until_transcripts(len(learner.transcripts) + 1)
        theirs = [one.text for one in learner.transcripts if one.identity != learner.identity]
        said = words_of(" ".join(theirs))


async def seen_of(parts: Parts, number: int, learner: TranscriptReader) -> str:
    """Return transcripts, progress and record of a learner."""
    [record] = await arrived(parts, "sessions", name_of(number))
    progress = await arrived(parts, "progress", name_of(number))
    written = " ".join(one.text for one in learner.transcripts)
    payload = record["payload"]
    told = (*payload["topics_covered"], *(one["word"] for one in payload["new_vocabulary"]))
    learned = progress[-1]["payload"]["data"]["progress"]["words_learned"]
    assert learned == len(payload["new_vocabulary"])
    return " ".join((written, *told))
