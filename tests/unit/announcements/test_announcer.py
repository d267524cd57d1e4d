"""Spoken announcements for waiting learners, and the handling of their failures."""

import asyncio
from array import array
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
import structlog

from loqua_host.announcements.announcer import (
    AGAIN_SECONDS,
    LOOK_UP_SECONDS,
    AnnouncementVoice,
    Announcer,
    Sounds,
)
from loqua_host.announcements.messages import Announcement, Sound, Wanted
from loqua_host.announcements.tone import after_tone
from loqua_host.errors import AnnouncementError
from loqua_host.lessons.decisions import NotifyWaiting, PresentLearner
from loqua_host.settings.engines import Engine, Engines
from loqua_host.system.tasks import supervised

SENTENCE = {"en": "One moment.", "es": "Un momento."}
HUMS = Engines(tts=Engine(use="engine:TTS", secrets={"api_key": "KEY"}))
VOICE = AnnouncementVoice("es", HUMS, {"KEY": "secret"}, SENTENCE)
SPOKEN = Sound(rate=16_000, samples=b"\1\0" * 160)


def waiting_notice(user_id: str = "maria") -> NotifyWaiting:
    """Return the announcement for a learner."""
    learner = PresentLearner(user_id, user_id, f"PA_{user_id}", 0.0, 0.0)
    return NotifyWaiting(f"room-{user_id}", learner, waiting=True, tutor="tutor", aloud=True)


class AnnouncerUnderTest:
    """An announcer with fakes around it."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.voice: AnnouncementVoice | None = VOICE
        self.language = "es"
        self.looking_up = self.speaking = 0.0
        self.mute = False
        self.wanted: list[Wanted] = []
        self.played: list[Announcement] = []
        rooms = SimpleNamespace(url="ws://livekit", announcing_token=lambda room: f"for {room}")
        self.announcer = Announcer(
            rooms=rooms,  # type: ignore[arg-type]  # a fake
            voices=self,
            sounds=Sounds(self._speak, tasks),
            player=self,  # type: ignore[arg-type]  # a fake
            tasks=tasks,
        )

    def voice_of(self, _tutor: str) -> AnnouncementVoice | None:
        """Return the tutor's voice."""
        return self.voice

    async def language_for(self, *_: str) -> str:
        """Look the language up, which takes a while."""
        await asyncio.sleep(self.looking_up)
        return self.language

    async def _speak(self, wanted: Wanted) -> Sound:
        self.wanted.append(wanted)
        await asyncio.sleep(self.speaking)
        if self.mute:
            raise AnnouncementError("no voice")
        return SPOKEN

    async def play(self, announcement: Announcement) -> None:
        """Play an announcement."""
        self.played.append(announcement)

    async def notify(self, *tells: NotifyWaiting) -> list[Announcement]:
        """Notify learners; return what was played."""
        self.played.clear()
        for one in tells:
            self.announcer.say(one)
        await asyncio.sleep(2 * LOOK_UP_SECONDS + 0.1)
        return self.played


@pytest.fixture
async def under_test() -> AsyncIterator[AnnouncerUnderTest]:
    """Yield an announcer whose tutor has a voice."""
    async with supervised() as tasks:
        yield AnnouncerUnderTest(tasks)


async def test_a_learner_hears_and_reads_that_a_tutor_comes(under_test: AnnouncerUnderTest) -> None:
    """In the language they learn, after a tone; the sentence is spoken once for all of them."""
    tells = [waiting_notice(user_id) for user_id in ("maria", "ana", "li")]
    played = await under_test.notify(*tells)
    assert [(one.text, one.sound) for one in played] == [("Un momento.", after_tone(SPOKEN))] * 3
    assert {one.token for one in played} == {"for room-maria", "for room-ana", "for room-li"}
    assert len({one.id for one in played}) == 3
    [wanted] = under_test.wanted
    assert (wanted.text, wanted.language, wanted.secrets) == (
        "Un momento.",
        "es",
        {"KEY": "secret"},
    )


async def test_a_language_without_a_sentence_hears_the_english_one(
    under_test: AnnouncerUnderTest,
) -> None:
    """By an English voice."""
    under_test.language = "pl"
    [played] = await under_test.notify(waiting_notice())
    assert (played.text, under_test.wanted[0].language) == ("One moment.", "en")


@pytest.mark.parametrize("late", ["looking_up", "speaking"])
async def test_nobody_waits_for_an_api_or_a_voice(
    under_test: AnnouncerUnderTest, late: str
) -> None:
    """They hear the tutor's own language, or a tone; the sentence is there for the next."""
    setattr(under_test, late, 5.0)
    under_test.language = "en"
    [played] = await under_test.notify(waiting_notice())
    own = late == "looking_up"
    assert played.text == ("Un momento." if own else "One moment.")
    assert played.sound == after_tone(SPOKEN if own else None)
    await asyncio.sleep(5)
    under_test.looking_up = 0.0
    [again] = await under_test.notify(waiting_notice())
    assert (again.text, again.sound) == ("One moment.", after_tone(SPOKEN))


async def test_a_voice_that_fails_is_tried_again_after_a_while(
    under_test: AnnouncerUnderTest,
) -> None:
    """Until then learners hear a tone, and read the sentence."""
    under_test.mute = True
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            [played] = await under_test.notify(waiting_notice())
            assert (played.text, played.sound) == ("Un momento.", after_tone(None))
    assert [line["event"] for line in logs].count("announcement.without_voice") == 1
    under_test.mute = False
    await asyncio.sleep(AGAIN_SECONDS)
    [played] = await under_test.notify(waiting_notice())
    assert played.sound == after_tone(SPOKEN)


@pytest.mark.parametrize(
    ("voice", "text"),
    [
        (None, ""),
        (AnnouncementVoice("es", HUMS, {}, None), ""),
        (AnnouncementVoice("es", Engines(), {}, SENTENCE), "Un momento."),
    ],
    ids=["no tutor", "no sentence", "no engine"],
)
async def test_without_a_voice_or_a_sentence_there_is_a_tone(
    under_test: AnnouncerUnderTest, voice: AnnouncementVoice | None, text: str
) -> None:
    """Everybody who waits hears something."""
    under_test.voice = voice
    [played] = await under_test.notify(waiting_notice())
    assert (played.text, played.sound, under_test.wanted) == (text, after_tone(None), [])


async def test_the_sentence_is_ready_before_anybody_waits(under_test: AnnouncerUnderTest) -> None:
    """In the tutor's own language, from when its worker is there."""
    under_test.announcer.prepare(VOICE)
    under_test.announcer.prepare(AnnouncementVoice("es", Engines(), {}, SENTENCE))
    await asyncio.sleep(1)
    assert [wanted.text for wanted in under_test.wanted] == ["Un momento."]


def test_the_tone_is_as_loud_and_as_long_at_any_rate() -> None:
    """And what follows it is as it was."""
    for rate in (8000, 24_000, 48_000):
        sound = after_tone(Sound(rate=rate, samples=SPOKEN.samples))
        samples = array("h", sound.samples.removesuffix(SPOKEN.samples))
        assert 0.5 < len(samples) / rate < 0.7
        assert 0.1 < max(samples) / 32_767 < 0.3
