"""Spoken lessons with learners' audio on any track, until they leave."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from livekit import rtc
from tests.acceptance.tutors.waiter import GREETING
from tests.acceptance.voices import (
    SpeakingLearner,
    arrived,
    entered,
    host_of,
    new,
    say_until,
    tutor_of,
    words_of,
)

from loqua_host.dev.demo import HostLog
from loqua_host.dev.learner import SAMPLE_RATE, synthesise_line
from loqua_host.dev.parts import Parts
from loqua_host.system.tasks import background

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300, func_only=True),
]

LONG_ORDER = "Hola soy Leo y quiero un café con leche y también una sopa de verduras por favor."

LAST_WORDS = "Sopa de verduras y pescado."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(
    tmp_path_factory: pytest.TempPathFactory, speech_url: str
) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Run a host whose tutor notes what it hears."""
    directory, tutors = tmp_path_factory.mktemp("heard"), {"waiter": tutor_of("waiter")}
    async with host_of(directory, speech_url, tutors) as running:
        yield running


async def test_what_a_learner_was_saying_as_they_left_is_in_progress_and_record(
    host: tuple[Parts, HostLog],
) -> None:
    """They leave in the middle of a word: what could be recognised by then counts, all or a part.

    Their track has no source, as several SDKs publish it by default.
    """
    (parts, log), user = host, new("user")
    order = await synthesise_line(f"{parts.speech_url}/v1", LONG_ORDER, "es")
    unknown = rtc.TrackSource.SOURCE_UNKNOWN
    async with entered(parts, user, new("leaving"), unknown) as ana:
        await log.until("waiter.ready", user)
        await ana.say(order[: int(3.0 * SAMPLE_RATE) * 2])
    await log.until("record.delivered", user)
    [record] = await arrived(parts, "sessions", user)
    last = (await arrived(parts, "progress", user))[-1]
    heard = record["payload"]["topics_covered"]
    assert words_of(" ".join(heard)) & {"hola", "leo", "quiero", "café", "leche"}
    assert last["payload"]["data"]["progress"]["phrases_practiced"] == len(heard)


async def test_a_tutor_does_not_take_its_own_voice_for_the_learners(
    host: tuple[Parts, HostLog],
) -> None:
    """It says all that it has to say, at one go; a learner who repeats its very words is heard."""
    (parts, log), user = host, new("user")
    words = await synthesise_line(f"{parts.speech_url}/v1", LAST_WORDS, "es")
    async with entered(parts, user, new("greeting")) as eva:
        assert await greeted_aloud(eva, log, user) == [GREETING]
        await say_until(eva, words, eva.until_written(LAST_WORDS))
    await log.until("record.delivered", user)
    [record] = await arrived(parts, "sessions", user)
    turns: list[str] = record["payload"]["topics_covered"]
    assert any(LAST_WORDS in turn for turn in turns)


async def greeted_aloud(learner: SpeakingLearner, log: HostLog, user: str) -> list[str]:
    """Play the greeting on a loudspeaker, and return what the tutor and its echo said."""
    learner.follow()
    async with background() as tasks:
        # So much is ahead in the loudspeaker, which then does not stall with this process.
        tasks.create_task(learner.listen_aloud(delay=0.4, loudness=0.25))
        await log.until("waiter.greeted", user)
        await asyncio.sleep(3)  # for a recogniser that takes its time
    return [one.text for one in learner.transcripts]


async def test_a_tutor_greets_who_speaks_already_in_their_next_pause(
    host: tuple[Parts, HostLog],
) -> None:
    """All of the greeting is said, and what the learner said counts."""
    (parts, log), user = host, new("user")
    order = await synthesise_line(f"{parts.speech_url}/v1", LONG_ORDER, "es")
    async with entered(parts, user, new("late")) as leo:
        leo.follow()
        await log.until("lesson.opened", user)
        await leo.say(order)
        await log.until("waiter.heard", "number=1", user)
        await leo.until_written(GREETING)
