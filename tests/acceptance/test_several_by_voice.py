"""Several learners at once: each reads and hears their own lesson, or a tutor that hears all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import groupby

import pytest
import pytest_asyncio
from tests.acceptance.voices import (
    TranscriptReader,
    arrived,
    called,
    entered,
    host_of,
    new,
    present,
    say_until,
    tutor_of,
    words_of,
)

from loqua_host.dev.demo import HostLog
from loqua_host.dev.learner import synthesise_line
from loqua_host.dev.parts import Parts

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300, func_only=True),
]

HELLO = "Buenos días, me llamo María."
COFFEE = "Quiero un café con leche, por favor."
SPOKEN = (
    "Quiero un café con leche.",
    "Mi hermano trabaja en el hospital.",
)
TYPED = (
    "manzana naranja limón",
    "martillo clavo sierra",
)
LESSONS = len(SPOKEN) + len(TYPED)
SHARED = frozenset(["he", "oído", "un", "con", "mi", "en", "el", "quiero"])
"""Words that say nothing of whose they are."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(
    tmp_path_factory: pytest.TempPathFactory, speech_url: str
) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Run a host with a tutor for each learner, and one that hears everyone in its room."""
    tutors = {
        "parrot": tutor_of("parrot", max_concurrent_jobs=LESSONS),
        "listener": tutor_of("listener", **called("listener"), audio_input="all"),
    }
    async with host_of(tmp_path_factory.mktemp("several"), speech_url, tutors) as running:
        yield running


@dataclass(frozen=True, slots=True)
class ObservedLesson:
    """All that could be seen of one lesson: in its room, and by the API."""

    words: frozenset[str]
    seen: str

    def of(self, others: frozenset[str]) -> frozenset[str]:
        """Return words of others that are in it."""
        return words_of(self.seen) & others


async def test_no_learner_hears_or_reads_another_s_words(host: tuple[Parts, HostLog]) -> None:
    """Two speak and two type, all at the same time, and hear what they said.

    Where jobs share a forkserver, one's words came to another (livekit/livekit#4632).
    """
    parts, log = host
    sound = [await synthesise_line(f"{parts.speech_url}/v1", text, "es") for text in SPOKEN]
    users = [new("user") for _ in range(LESSONS)]
    async with AsyncExitStack() as rooms:
        speaking = [
            await rooms.enter_async_context(entered(parts, user, new("room")))
            for user in users[: len(SPOKEN)]
        ]
        typists = [
            TranscriptReader(await rooms.enter_async_context(present(parts, user, new("room"))))
            for user in users[len(SPOKEN) :]
        ]
        learners = [*speaking, *typists]
        for user, learner in zip(users, learners, strict=True):
            await log.until("parrot.ready", user)
            learner.follow()
        await asyncio.gather(
            *(
                say_until(one, words, until_answered(one, text))
                for one, words, text in zip(speaking, sound, SPOKEN, strict=True)
            ),
            *(one.type(text) for one, text in zip(typists, TYPED, strict=True)),
            *(until_answered(*it) for it in zip(typists, TYPED, strict=True)),
        )
    for user in users:
        await log.until("record.delivered", user)
    lessons = [
        ObservedLesson(words_of(text) - SHARED, await seen_of(parts, user, learner))
        for user, text, learner in zip(users, (*SPOKEN, *TYPED), learners, strict=True)
    ]
    everything = frozenset[str]().union(*(one.words for one in lessons))
    for one in lessons:
        assert one.of(everything) <= one.words
        assert one.of(one.words)
    for one in lessons[len(SPOKEN) :]:
        assert one.of(one.words) == one.words  # what is typed is not misheard


async def until_answered(learner: TranscriptReader, text: str) -> None:
    """Wait until the tutor says again what a learner said; a busy machine cuts that in two."""
    said: frozenset[str] = frozenset()
    while not said & (words_of(text) - SHARED):
        await learner.until_transcripts(len(learner.transcripts) + 1)
        theirs = [one.text for one in learner.transcripts if one.identity != learner.identity]
        said = words_of(" ".join(theirs))


async def seen_of(parts: Parts, user: str, learner: TranscriptReader) -> str:
    """Return transcripts, progress and record of a learner."""
    [record] = await arrived(parts, "sessions", user)
    progress = await arrived(parts, "progress", user)
    written = " ".join(one.text for one in learner.transcripts)
    payload = record["payload"]
    told = (*payload["topics_covered"], *(one["word"] for one in payload["new_vocabulary"]))
    learned = progress[-1]["payload"]["data"]["progress"]["words_learned"]
    assert learned == len(payload["new_vocabulary"])
    return " ".join((written, *told))


async def test_a_tutor_that_hears_everyone_knows_who_of_them_speaks(
    host: tuple[Parts, HostLog],
) -> None:
    """The louder of two at once, and one after the other; transcripts in the room say so."""
    (parts, log), room = host, new("room")
    hello, coffee = [
        await synthesise_line(f"{parts.speech_url}/v1", text, "es") for text in (HELLO, COFFEE)
    ]
    async with entered(parts, new("maria"), room, agent_name="listener") as maria:
        await log.until("listener.ready", room)
        async with entered(parts, new("ana"), room) as ana:
            maria.follow()
            await log.until("listener.tick", "others=1", "microphones=2", room)
            await asyncio.gather(maria.say(coffee, 0.1), ana.say(coffee))
            await log.until("listener.heard", "number=1", "learner=ana", room)
            await maria.say(hello)
            await asyncio.sleep(1)  # while that is still recognised
            await ana.say(coffee)
            spoken = [(one.identity, one.track) for one in (ana, maria, ana)]
            while len(written := speakers(maria)) < len(spoken):
                await maria.until_transcripts(len(maria.transcripts) + 1)
            assert written == spoken


def speakers(reader: TranscriptReader) -> list[tuple[str, str | None]]:
    """Return who spoke by which track, one after the other; a busy machine cuts turns in two."""
    return [who for who, _ in groupby((it.identity, it.track) for it in reader.transcripts)]
