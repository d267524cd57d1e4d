"""Pronunciation scores in the background of a conversation, with a fake speech server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from livekit import rtc

import loqua_tutor_conversation
from loqua_host import Learner, Lesson, Recognition, RecognizedWord, Tick
from loqua_tutor_conversation import (
    ConversationSettings,
    Specialists,
    on_progress_tick,
    on_session_end,
)
from loqua_tutor_conversation.background_scoring import MAX_UNSCORED
from loqua_tutor_conversation.tutor import ConversationTutor

MakeLesson = Callable[..., Lesson]
Taught = Callable[[Lesson], AbstractAsyncContextManager[Any]]

FRAME = rtc.AudioFrame(b"\x00\x40" * 1200, 24_000, 1, 1200)
SAID = "I think so, yes."
SETTINGS = ConversationSettings(
    scorer="http://speech/v1", specialists=Specialists(pronunciation="pronunciation-specialist")
)


def scored(request: httpx.Request) -> httpx.Response:
    """Answer that the th of "think" is clearly wrong."""
    assert SAID.encode() in request.content
    said = [
        {
            "Word": word,
            "AccuracyScore": 70,
            "Phonemes": [{"Phoneme": sound, "AccuracyScore": score}],
        }
        for word, sound, score in (
            ("I", "aɪ", 90),  # noqa: RUF001 IPA
            ("think", "θ", 20),
            ("so", "s", 90),
            ("yes", "j", 90),
        )
    ]
    return httpx.Response(
        200, json={"NBest": [{"PronScore": 75, "Confidence": 0.9, "Words": said}]}
    )


class CountingServer:
    """A speech server that counts its requests, and answers when a test lets it.

    Attributes:
        asked: How many utterances it was sent.
        answers: Set while it answers.
        respond: What it answers.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.answers = asyncio.Event()
        self.answers.set()
        self.respond = scored

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked += 1
        await self.answers.wait()
        return self.respond(request)


Spoken = Callable[..., AbstractAsyncContextManager["RunningLesson"]]


class RunningLesson:
    """A learner who says `SAID` with sound in a running lesson.

    Args:
        room: The lesson.
        server: What scores the sound.
    """

    def __init__(self, room: Any, server: CountingServer) -> None:
        self.room = room
        self.server = server
        self.tutor: ConversationTutor = room.lesson.get_agent(ConversationTutor)

    async def speak(self, *, sure: float = 0.95, learner: Learner | None = None) -> str:
        """Speak the sentence, and return the reply."""
        scoring = self.tutor._scoring
        assert scoring is not None
        scoring.begin()
        scoring._recorder.add(FRAME)
        words = tuple(RecognizedWord(word, sure) for word in SAID.split())
        reply: str = await self.room.say(SAID, learner, Recognition(0.9, words, "en"))
        return reply

    async def scored(self) -> None:
        """Wait for the score."""
        assert self.tutor._scoring is not None
        assert self.tutor._scoring._scoring is not None
        await self.tutor._scoring._scoring


@pytest.fixture
def spoken(make_lesson: MakeLesson, taught: Taught, monkeypatch: pytest.MonkeyPatch) -> Spoken:
    """Run an English lesson whose sound a fake server scores."""

    @asynccontextmanager
    async def run(**fields: Any) -> AsyncIterator[RunningLesson]:
        server = CountingServer()
        client = partial(httpx.AsyncClient, transport=httpx.MockTransport(server))
        monkeypatch.setattr(loqua_tutor_conversation, "AsyncClient", client)
        async with taught(make_lesson(**{"language": "en", "settings": SETTINGS} | fields)) as room:
            yield RunningLesson(room, server)

    return run


async def test_a_sound_that_returns_as_wrong_brings_the_specialist_for_it(spoken: Spoken) -> None:
    """It is offered once, with the sound as focus, and named in the report with utterances."""
    async with spoken() as learner:
        for _ in range(3):
            assert "pronunciation tutor" not in await learner.speak()
            await learner.scored()
        assert "pronunciation tutor" in await learner.speak()
        await learner.scored()
        await learner.room.say("Yes, please.")
        call = await asyncio.wait_for(learner.room.lesson.next_call(), 1)
        assert (call.agent_name, call.request.focus) == ("pronunciation-specialist", "θ")
        report = await on_session_end(learner.room.lesson)
        assert report is not None
        assert report.reasons["Practise the sound [θ], as in: think"] == (
            "clearly wrong in utterance 1, 2, 3, 4; utterances with it: 4"
        )


async def test_the_score_is_that_of_enough_certain_utterances(spoken: Spoken) -> None:
    """And no exercise was practised."""
    alone = ConversationSettings(scorer="http://speech/v1")
    async with spoken(settings=alone) as learner:
        lesson = learner.room.lesson
        for _ in range(5):
            assert (
                await on_progress_tick(lesson, Tick(number=1, seconds=30.0))
            ).pronunciation_score is None
            await learner.speak()
            await learner.scored()
        assert (
            await on_progress_tick(lesson, Tick(number=1, seconds=30.0))
        ).pronunciation_score == 75.0
        report = await on_session_end(lesson)
        assert report is not None
        assert report.pronunciation_practice_count == 0


async def test_a_resumed_lesson_knows_how_the_learner_sounded(spoken: Spoken) -> None:
    """Its state is saved with the score."""
    async with spoken() as learner:
        await learner.speak()
        await learner.scored()
        state = dict(learner.room.lesson.state)
    async with spoken(resumed=True, state=state) as learner:
        assert [it.utterance for it in learner.tutor.sounds.scores] == [1]


async def test_the_reply_does_not_wait_and_what_comes_meanwhile_is_dropped(spoken: Spoken) -> None:
    """A slow server delays nobody."""
    async with spoken() as learner:
        learner.server.answers.clear()
        assert await learner.speak()
        assert await learner.speak()
        learner.server.answers.set()
        await learner.scored()
        assert learner.server.asked == 1
        assert [it.utterance for it in learner.tutor.sounds.scores] == [1]


async def test_what_may_be_misheard_or_is_anothers_is_not_scored(spoken: Spoken) -> None:
    """The server is not even asked."""
    async with spoken() as learner:
        await learner.speak(sure=0.5)
        await learner.speak(learner=Learner(user_id="user_2", identity="other"))
        await learner.room.type(SAID)
        assert learner.server.asked == 0


async def test_a_server_that_scores_nothing_is_asked_no_more(spoken: Spoken) -> None:
    """It does not know the language, or is out of reach."""
    async with spoken() as learner:
        learner.server.respond = lambda _: httpx.Response(400, json={"error": {}})
        for _ in range(MAX_UNSCORED + 2):
            await learner.speak()
            await learner.scored()
        assert learner.server.asked == MAX_UNSCORED
        assert not learner.tutor.sounds.scores


async def test_a_lesson_that_ends_drops_the_score(spoken: Spoken) -> None:
    """It waits for no server."""
    async with spoken() as learner:
        learner.server.answers.clear()
        await learner.speak()
    assert not learner.tutor.sounds.scores


async def test_without_a_scorer_nothing_is_kept_or_scored(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """The audio goes to the recogniser as usual."""
    async with taught(make_lesson(language="en")) as room:
        await room.say(SAID)
        assert room.lesson.get_agent(ConversationTutor)._scoring is None
        assert (
            await on_progress_tick(room.lesson, Tick(number=1, seconds=30.0))
        ).pronunciation_score is None
