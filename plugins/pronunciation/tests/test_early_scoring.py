"""Scores that are requested in a pause."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import httpx
import pytest
from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.vad import VAD, VADCapabilities, VADEvent, VADEventType, VADStream

import loqua_tutor_pronunciation
from loqua_host import Assessment, Learner, Lesson, PronunciationScore, PronunciationScorer
from loqua_tutor_pronunciation import PronunciationSettings
from loqua_tutor_pronunciation.early_scoring import EarlyScoring
from loqua_tutor_pronunciation.tutor import PronunciationTutor

RATE = 16_000
SOUND, QUIET = (
    rtc.AudioFrame(level.to_bytes(2, "little") * 800, RATE, 1, 800) for level in (8000, 0)
)
"""50 ms of each."""

WORDS, PAUSE = [SOUND] * 4, [QUIET] * 6
TEXT = "I like to read books."
SAID = {"PronScore": 80.0, "Words": [{"Word": "books", "AccuracyScore": 80.0}]}
CUT_SHORT = {"PronScore": 40.0, "Words": [{"Word": "books", "ErrorType": "Omission"}]}


class LoudnessVAD(VAD):
    """A voice activity detector by loudness."""

    def __init__(self) -> None:
        super().__init__(capabilities=VADCapabilities(update_interval=0.05))

    def stream(self) -> VADStream:
        """Return a stream."""
        return _LoudnessStream(self)


class _LoudnessStream(VADStream):
    async def _main_task(self) -> None:
        silence = 0.0
        async for frame in self._input_ch:
            if isinstance(frame, rtc.AudioFrame):
                silence = 0.0 if any(frame.data) else silence + frame.duration
                event = VADEvent(VADEventType.INFERENCE_DONE, 0, 0.0, 0.0, 0.0, speaking=True)
                event.raw_accumulated_silence = silence
                self._event_ch.send_nowait(event)


class Server:
    """A speech server that answers each request with the next result, or not in time at None.

    Attributes:
        lengths: The bytes of each request.
    """

    def __init__(self, *results: dict[str, Any] | None) -> None:
        self._results = list(results)
        self.lengths: list[int] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, in time if there is a result."""
        self.lengths.append(len(request.content))
        result = self._results.pop(0) if len(self._results) > 1 else self._results[0]
        if result is None:
            raise httpx.ReadTimeout("busy")
        return httpx.Response(200, json={"NBest": [result]})

    def client(self) -> httpx.AsyncClient:
        """Return a client that asks it."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))


class Attempts:
    """A learner who speaks to an `EarlyScoring`."""

    def __init__(self, server: Server) -> None:
        self.early: list[Assessment] = []
        scorer = PronunciationScorer("http://speech/v1", server.client())
        self.scoring = EarlyScoring(
            scorer, "en", lambda: TEXT, lambda _, scores: self.early.append(scores)
        )

    async def speak(self, *frames: rtc.AudioFrame) -> None:
        """Say something, and wait until it has been taken note of."""
        self.scoring.begin()
        await listen(self.scoring, frames)


async def listen(scoring: EarlyScoring, frames: tuple[rtc.AudioFrame, ...]) -> None:
    """Record frames, leaving time to answer."""

    async def audio() -> AsyncIterator[rtc.AudioFrame]:
        for frame in frames:
            yield frame
            for _ in range(50):
                await asyncio.sleep(0)

    async for _ in scoring.record(audio(), LoudnessVAD()):
        pass


async def test_the_scores_are_there_when_the_turn_ends() -> None:
    """They are made in the pause, once."""
    server = Server(SAID)
    attempts = Attempts(server)
    await attempts.speak(*WORDS, *PAUSE)

    (early,) = attempts.early
    assert await attempts.scoring.score(attempts.scoring.take(continued=False), TEXT) is early
    assert len(server.lengths) == 1


async def test_a_learner_who_continues_is_scored_to_the_end() -> None:
    """The scores up to the first pause are dropped."""
    server = Server(CUT_SHORT, SAID)
    attempts = Attempts(server)
    await attempts.speak(*WORDS, *PAUSE, *WORDS, *PAUSE)

    sound = attempts.scoring.take(continued=False)
    scores = await attempts.scoring.score(sound, TEXT)
    assert scores is not None
    assert scores.total == 80.0
    first, second = server.lengths
    assert second - first == 2 * 800 * len([*WORDS, *PAUSE])


async def test_a_last_sound_that_is_scored_early_has_silence_after_it() -> None:
    """0.2 s follow the first quiet frame, in which the scores are requested."""
    server = Server(None, SAID)
    attempts = Attempts(server)
    await attempts.speak(*WORDS, *PAUSE)

    await attempts.scoring.score(attempts.scoring.take(continued=False), TEXT)
    early, whole = server.lengths
    assert whole - early == 2 * 800 * (len(PAUSE) - 1) - 2 * RATE // 5


async def test_a_turn_that_goes_on_after_its_end_is_scored_as_a_whole() -> None:
    """Scores of its last part say nothing of it."""
    server = Server(SAID)
    attempts = Attempts(server)
    await attempts.speak(*WORDS, *PAUSE)
    attempts.scoring.take(continued=False)
    await attempts.speak(*WORDS, *PAUSE)
    sound = attempts.scoring.take(continued=True)
    await attempts.scoring.score(sound, TEXT)

    assert server.lengths[-1] - server.lengths[0] > 2 * 800 * len([*WORDS, *PAUSE])


async def test_a_pause_without_scores_does_not_cost_the_turn_its_scores() -> None:
    """The server may have been busy in the pause: the end of the turn asks once more."""
    server = Server(None, SAID)
    attempts = Attempts(server)
    await attempts.speak(*WORDS, *PAUSE)

    scores = await attempts.scoring.score(attempts.scoring.take(continued=False), TEXT)
    assert scores is not None
    assert (scores.total, attempts.early) == (80.0, [])


async def test_a_word_that_an_early_attempt_lacks_is_looked_for_in_the_whole_turn() -> None:
    """The voice detector may take a soft last word for the pause after the one before."""
    server = Server(CUT_SHORT, SAID)
    attempts = Attempts(server)
    await attempts.speak(*WORDS, *PAUSE)

    scores = await attempts.scoring.score(attempts.scoring.take(continued=False), TEXT)
    assert scores is not None
    assert scores.is_complete


async def test_scores_without_a_word_count_if_the_server_has_no_others() -> None:
    """It may be busy when the turn ends."""
    server = Server(CUT_SHORT, None)
    attempts = Attempts(server)
    await attempts.speak(*WORDS, *PAUSE)

    scores = await attempts.scoring.score(attempts.scoring.take(continued=False), TEXT)
    assert scores is not None
    assert scores.total == 40.0


async def test_scores_for_another_sentence_do_not_count() -> None:
    """The learner has typed one meanwhile."""
    server = Server(SAID)
    attempts = Attempts(server)
    await attempts.speak(*WORDS, *PAUSE)
    await attempts.scoring.score(attempts.scoring.take(continued=False), "I read.")

    assert len(server.lengths) == 2


Taught = Callable[[Lesson], AbstractAsyncContextManager[Any]]


@pytest.mark.parametrize(
    ("result", "others", "early"),
    [
        (SAID, (), 1),
        (CUT_SHORT, (), 0),
        (SAID, (Learner(user_id="user_2", identity="other"),), 0),
    ],
    ids=["complete", "a word is missing", "another learner is in the room"],
)
async def test_scores_are_shown_once_and_early_if_the_attempt_is_surely_over_and_the_learners(
    make_lesson: Callable[..., Lesson],
    taught: Taught,
    monkeypatch: pytest.MonkeyPatch,
    result: dict[str, Any],
    others: tuple[Learner, ...],
    early: int,
) -> None:
    """Otherwise they are shown when the turn has ended."""
    monkeypatch.setattr(loqua_tutor_pronunciation, "AsyncClient", partial(Server(result).client))
    settings = PronunciationSettings(exercises=1, scorer="http://speech/v1")
    lesson = make_lesson(
        settings=settings, language="en", others=others, session=AgentSession(vad=LoudnessVAD())
    )
    async with taught(lesson) as room:
        scoring = lesson.get_agent(PronunciationTutor)._scoring
        scoring.begin()
        await listen(scoring, (*WORDS, *PAUSE))
        shown = list(lesson.take_shown())
        await room.say(TEXT)
        both = [*shown, *lesson.take_shown()]
    assert len(shown) == early
    assert [it.text for it in both if isinstance(it, PronunciationScore)] == [TEXT]
