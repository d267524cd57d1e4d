"""Scores of an attempt, requested in a pause before the turn is known to be over."""

import asyncio
from collections.abc import AsyncIterable, Callable
from dataclasses import dataclass

from livekit import rtc
from livekit.agents.utils import aio
from livekit.agents.vad import VAD, VADEventType, VADStream

from loqua_host import Assessment, PronunciationScorer, Recorder

from .recording import Recording

__all__ = ["EarlyScoring"]

PAUSE_SECONDS = 0.03
"""Silence after which an attempt is scored: README.md says what that costs and saves."""

_TAIL_SECONDS = 0.2
"""Silence added to what is scored so early: the last sound is scored too high without."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt that is being scored, and its scores."""

    text: str
    scores: asyncio.Task[Assessment | None]


class EarlyScoring:
    """Record the learner, and score each attempt in the first pause that may end it.

    The end of a turn is known after about a second of silence, in which the scores are made. If the
    learner continues, they are dropped.

    Args:
        scorer: The client of the speech server, which this closes; None for no scores.
        language: What is spoken, ISO 639-1.
        text: Returns what is to be said now; empty for nothing.
        on_scored: Called with a text and its scores if they come before the turn ends.
    """

    def __init__(
        self,
        scorer: PronunciationScorer | None,
        language: str,
        text: Callable[[], str],
        on_scored: Callable[[str, Assessment], None],
    ) -> None:
        self._scorer = scorer
        self._language = language
        self._text = text
        self._on_scored = on_scored
        self._recorder = Recorder()
        self._early: _Attempt | None = None

    async def record(
        self, audio: AsyncIterable[rtc.AudioFrame], detector: VAD | None
    ) -> AsyncIterable[rtc.AudioFrame]:
        """Yield the learner's audio, record it, and score it in its pauses.

        Args:
            audio: What the learner says.
            detector: Finds the pauses; without one, nothing is scored before its turn ends.
        """
        detection = detector.stream() if detector and self._scorer else None
        following = asyncio.create_task(self._follow(detection)) if detection else None
        try:
            async for frame in audio:
                self._recorder.add(frame)
                if detection:
                    detection.push_frame(frame)
                yield frame
        finally:
            if detection and following:
                await aio.cancel_and_wait(following)
                await detection.aclose()

    def begin(self) -> None:
        """Keep what follows: the learner speaks."""
        self._recorder.begin()

    def take(self, *, continued: bool) -> Recording:
        """Return the turn and begin another.

        Args:
            continued: Whether the turn goes on with the one that was taken before.
        """
        if continued:
            self._drop()  # it is about the last part alone
        return self._recorder.take(continued=continued)

    async def score(self, sound: Recording, text: str) -> Assessment | None:
        """Return the scores of the turn that was taken, or None if there is no telling.

        Args:
            sound: The turn.
            text: What was to be said.
        """
        early, self._early = self._early, None
        scores = await early.scores if early and early.text == text else None
        if scores and scores.is_complete:
            return scores
        # The server was busy in the pause, or a last word was too soft for the voice detector.
        return await self._score(sound, text) or scores

    async def aclose(self) -> None:
        """Drop what is being scored, and close the connections."""
        self._drop()
        if self._scorer:
            await self._scorer.aclose()

    async def _follow(self, detection: VADStream) -> None:
        async for event in detection:
            if event.type is VADEventType.INFERENCE_DONE and event.speaking:
                self._anticipate(event.raw_accumulated_silence)

    def _anticipate(self, silence: float) -> None:
        if silence == 0:
            self._drop()
        elif silence >= PAUSE_SECONDS and self._early is None:
            text, sound = self._text(), self._recorder.peek()
            if text and sound:
                whole = (*sound, _silence_like(sound[-1]))
                self._early = _Attempt(text, asyncio.create_task(self._score_early(whole, text)))

    async def _score_early(self, sound: Recording, text: str) -> Assessment | None:
        scores = await self._score(sound, text)
        if scores:
            self._on_scored(text, scores)
        return scores

    async def _score(self, sound: Recording, text: str) -> Assessment | None:
        if not self._scorer or not sound or not text:
            return None
        return await self._scorer.score(sound, text, self._language)

    def _drop(self) -> None:
        early, self._early = self._early, None
        if early:
            early.scores.cancel()


def _silence_like(frame: rtc.AudioFrame) -> rtc.AudioFrame:
    samples = round(_TAIL_SECONDS * frame.sample_rate)
    return rtc.AudioFrame.create(frame.sample_rate, frame.num_channels, samples)
