"""Pronunciation scores of utterances, requested while the tutor speaks."""

import asyncio
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass
from typing import Any

from livekit import rtc

from loqua_host import PronunciationScorer, Recorder, Turn

from .spoken_sounds import SpokenSounds, has_sure_words, note_sounds

__all__ = ["BackgroundScoring"]

MAX_UNSCORED = 3
"""Utterances in a row without a score, after which none is asked for: the server does not know the
language, or is out of reach, or the sound is too poor."""


@dataclass(frozen=True, slots=True)
class _PendingUtterance:
    number: int
    turn: Turn[Any]
    sound: tuple[rtc.AudioFrame, ...]


class BackgroundScoring:
    """Score utterances one at a time, behind the replies to them.

    The latest utterance is scored when the tutor's reply is heard, so that the reply waits for
    nothing and the turn is surely over. An utterance that comes while another one is being scored
    is dropped.

    Args:
        scorer: The client of the speech server, which this closes.
        language: What is spoken, ISO 639-1.
        sounds: What is certain so far.
        on_scored: Called with what is certain after an utterance.
    """

    def __init__(
        self,
        scorer: PronunciationScorer,
        language: str,
        sounds: SpokenSounds,
        on_scored: Callable[[SpokenSounds], None],
    ) -> None:
        self._scorer = scorer
        self._language = language
        self._sounds = sounds
        self._on_scored = on_scored
        self._recorder = Recorder()
        self._latest: _PendingUtterance | None = None
        self._scoring: asyncio.Task[None] | None = None
        self._unscored = 0

    async def record(self, audio: AsyncIterable[rtc.AudioFrame]) -> AsyncIterable[rtc.AudioFrame]:
        """Yield the learner's audio, and keep the current turn's."""
        async for frame in audio:
            self._recorder.add(frame)
            yield frame

    def begin(self) -> None:
        """Keep what follows: the learner speaks."""
        self._recorder.begin()

    def take(self, turn: Turn[Any], number: int, *, continued: bool, counts: bool) -> None:
        """Take the sound of a turn, to be scored when the reply is heard.

        Args:
            turn: The turn.
            number: The number of its utterance.
            continued: Whether the turn goes on with the one that was taken before.
            counts: Whether it is the learner's and was spoken.
        """
        sound = self._recorder.take(continued=continued)
        is_scored = counts and sound and has_sure_words(turn.recognition.words)
        self._latest = _PendingUtterance(number, turn, sound) if is_scored else None

    def score_latest(self) -> None:
        """Score the latest utterance in a task of its own, unless another one is being scored."""
        latest, self._latest = self._latest, None
        is_busy = self._scoring is not None and not self._scoring.done()
        if latest is not None and not is_busy and self._unscored < MAX_UNSCORED:
            self._scoring = asyncio.create_task(self._score(latest))

    async def aclose(self) -> None:
        """Drop what is being scored, and close the connections."""
        if self._scoring is not None:
            self._scoring.cancel()
        await self._scorer.aclose()

    async def _score(self, said: _PendingUtterance) -> None:
        turn, recognition = said.turn, said.turn.recognition
        assessment = await self._scorer.score(said.sound, turn.text, self._language)
        self._unscored = 0 if assessment else self._unscored + 1
        if assessment:
            confidence = recognition.confidence or 0.0
            self._sounds = note_sounds(
                self._sounds, said.number, recognition.words, confidence, assessment
            )
            self._on_scored(self._sounds)
