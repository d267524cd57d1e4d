"""Spoken lessons with learners' audio on any track, until they leave."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from uuid import uuid4

import pytest
import pytest_asyncio
from livekit import rtc
from tests.acceptance.voices import SpeakingLearner, arrived, entered, host_of

from loqua_host.dev.demo import HostLog
from loqua_host.dev.learner import SAMPLE_RATE, synthesise_line
from loqua_host.dev.parts import Parts
from loqua_host.job.voice.own_voice import SHARE, share_of
from loqua_host.system.tasks import background

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300, func_only=True),
]

ANSWER_SECONDS = 15.0
"""Seconds after which people say again what nobody has answered."""

ORDER = "Quiero un café con leche, por favor."

LONG_ORDER = "Hola soy Leo y quiero un café con leche y también una sopa de verduras por favor."

GREETING = "Buenos días, señora. ¿Qué desea tomar? Hoy tenemos sopa de verduras y pescado."
LAST_WORDS = "Sopa de verduras y pescado."

TUTOR = f"""
GREETING = {GREETING!r}
import asyncio

from livekit.agents import Agent, StopResponse

from loqua_host import LessonReport, Progress, Tutor, hookimpl


class Waiter(Agent):
    def __init__(self, lesson):
        super().__init__(instructions="")
        self.lesson = lesson

    async def on_user_turn_completed(self, turn_ctx, new_message):
        orders(self.lesson).append(new_message.text_content)
        self.lesson.log.info("waiter.heard", number=len(orders(self.lesson)))
        raise StopResponse

    async def tts_node(self, text, model_settings):
        if broken(self.lesson, "mute"):
            await asyncio.Event().wait()
        async for frame in Agent.default.tts_node(self, text, model_settings):
            yield frame


def broken(lesson, how):
    return kind(lesson) == how and not lesson.resumed


def kind(lesson):
    return lesson.room.partition("-")[0]


async def speaking(session):
    began = asyncio.Event()
    session.on("user_state_changed", lambda event: event.new_state == "speaking" and began.set())
    if session.user_state != "speaking":
        await began.wait()


def orders(lesson):
    return lesson.state.setdefault("orders", [])


class Plugin:
    @hookimpl
    def register_tutor(self):
        return Tutor(name="waiter")

    @hookimpl
    async def create_agent(self, lesson):
        return Waiter(lesson)

    @hookimpl
    async def on_user_ready(self, lesson):
        lesson.log.info("waiter.ready", resumed=lesson.resumed)
        if kind(lesson) == "late":
            await speaking(lesson.session)
        if kind(lesson) in ("greeting", "late"):
            await lesson.session.say(GREETING)
            lesson.log.info("waiter.greeted")
        session = lesson.session  # what ends here, ends in LiveKit for whatever reason
        if broken(lesson, "deaf"):
            session._forward_audio_atask.cancel()
        if broken(lesson, "blind"):
            for stream in session.vad._streams:
                stream._task.cancel()
        if broken(lesson, "mute"):
            session.say("Un momento, por favor.")

    @hookimpl
    async def on_progress_tick(self, lesson):
        return Progress(phrases_practiced=len(orders(lesson)))

    @hookimpl
    async def on_session_end(self, lesson):
        done = Progress(phrases_practiced=len(orders(lesson)))
        return LessonReport(progress=done, topics_covered=tuple(orders(lesson)))


plugin = Plugin()
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(
    tmp_path_factory: pytest.TempPathFactory, speech_url: str
) -> AsyncIterator[tuple[Parts, HostLog]]:
    """Run a host whose tutor notes what it hears."""
    async with host_of(tmp_path_factory.mktemp("heard"), speech_url, "waiter", TUTOR) as running:
        yield running


def new(name: str) -> str:
    """Return a name that no other test has, nor another try of the same."""
    return f"{name}-{uuid4().hex[:8]}"


async def test_what_a_learner_was_saying_as_they_left_is_in_progress_and_record(
    host: tuple[Parts, HostLog],
) -> None:
    """They leave in the middle of a word: what could be recognised by then counts, all or a part.

    Their track has no source, as several SDKs publish it by default.
    """
    (parts, log), user = host, new("user")
    order = await synthesise_line(f"{parts.speech_url}/v1", ORDER, "es")
    unknown = rtc.TrackSource.SOURCE_UNKNOWN
    async with entered(parts, user, new("leaving"), unknown) as ana:
        await log.until("waiter.ready", user)
        await ana.say(order[: int(1.6 * SAMPLE_RATE) * 2])
    await log.until("record.delivered", user)
    [record] = await arrived(parts, "sessions", user)
    last = (await arrived(parts, "progress", user))[-1]
    heard = record["payload"]["topics_covered"][0].lower()
    assert "quiero" in heard or "café" in heard
    assert last["payload"]["data"]["progress"]["phrases_practiced"] == 1


async def test_a_tutor_does_not_take_its_own_voice_for_the_learners(
    host: tuple[Parts, HostLog],
) -> None:
    """It says all that it has to say; a learner who repeats its very words is heard.

    An echo that the recogniser mishears as other words is taken for the learner's, so what bears
    no likeness to the tutor's words does not count here. In a room, an echo is missed now and then,
    also by its sound: then this is an expected failure. tests/bench/echoes.py measures it on files.
    """
    (parts, log), user = host, new("user")
    words = await synthesise_line(f"{parts.speech_url}/v1", LAST_WORDS, "es")
    async with entered(parts, user, new("greeting")) as eva:
        eva.follow()
        async with background() as tasks:
            tasks.create_task(eva.listen_aloud(delay=0.15, loudness=0.25))
            await log.until("waiter.greeted", user)
            await asyncio.sleep(3)  # for a recogniser that takes its time
        await say_until_written(eva, words, LAST_WORDS)
    await log.until("record.delivered", user)
    [record] = await arrived(parts, "sessions", user)
    turns: list[str] = record["payload"]["topics_covered"]
    assert any(LAST_WORDS in turn for turn in turns)
    written = [one.text for one in eva.transcripts]
    if GREETING not in written or set(likenesses(turns)) != {LAST_WORDS}:
        pytest.xfail("an echo in a room was taken for the learner's words")
    assert set(likenesses(one.text for one in eva.transcripts if one.identity == eva.identity)) == {
        LAST_WORDS
    }


async def say_until_written(learner: SpeakingLearner, words: bytes, text: str) -> None:
    """Say words, and again as people do: on a machine that stalls, they may be misheard."""

    def is_written() -> bool:
        return text in [one.text for one in learner.transcripts]

    while not is_written():
        await learner.say(words)
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while not is_written():
                    await learner.until_transcripts(len(learner.transcripts) + 1)


def likenesses(texts: Iterable[str]) -> list[str]:
    """Return those texts that could be the tutor's greeting."""
    return [text for text in texts if share_of(text, GREETING) >= SHARE]


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
        while GREETING not in [one.text for one in leo.transcripts]:
            await leo.until_transcripts(len(leo.transcripts) + 1)


async def test_a_tutor_that_is_deaf_or_mute_is_replaced(host: tuple[Parts, HostLog]) -> None:
    """By another job of the same lesson; three lessons at once."""
    parts, log = host
    order = await synthesise_line(f"{parts.speech_url}/v1", ORDER, "es")
    async with asyncio.TaskGroup() as lessons:
        for room, part in {"deaf": "hearing", "blind": "hearing", "mute": "speaking"}.items():
            lessons.create_task(until_replaced(parts, log, new(room), part, order))
            await log.until("lesson.opened", room)  # one start at a time


async def until_replaced(parts: Parts, log: HostLog, room: str, part: str, order: bytes) -> None:
    """Stay in a quiet room until its tutor is replaced, and be heard by the next one."""
    user = new("user")
    async with entered(parts, user, room) as learner:
        await log.until("waiter.ready", user)
        async with background() as tasks:
            tasks.create_task(learner.say(bytes(60 * SAMPLE_RATE * 2)))  # a quiet room
            await log.until("lesson.voice_stuck", f"part={part}", user)
        await log.until("waiter.ready", "resumed=True", user)
        await say_until_heard(learner, log, user, order)
    await log.until("record.delivered", user)
    [record] = await arrived(parts, "sessions", user)
    assert record["payload"]["topics_covered"]


async def say_until_heard(learner: SpeakingLearner, log: HostLog, user: str, order: bytes) -> None:
    """Order, and again as people do: a machine that stalls may seem deaf, and replace once more."""
    heard = asyncio.create_task(log.until("waiter.heard", "number=1", user))
    while not heard.done():
        await learner.say(order)
        await asyncio.wait([heard], timeout=ANSWER_SECONDS)
    heard.result()
