"""The one worker that scores for all lessons, and the queue before it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from loqua_speech.audio import HEARING_RATE, Samples
from loqua_speech.errors import BusyError, UnreadableAudioError
from loqua_speech.pronunciation.results import Assessment, Refusal
from loqua_speech.pronunciation.scorer import Scorer

__all__ = ["ScoringQueue"]

LONGEST_SECONDS = 30


class ScoringQueue:
    """Scores one utterance at a time, first come, first served, off the event loop."""

    def __init__(self, scorer: Scorer, *, backlog: int = 12) -> None:
        """Score with this scorer.

        Args:
            scorer: The loaded scorer.
            backlog: How many utterances may be in the queue, the one being scored included.
        """
        self._scorer = scorer
        self._backlog = backlog
        self._waiting = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pronunciation")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def score(self, audio: Samples, text: str, language: str) -> Assessment | Refusal:
        """Return how the text was said, or why nobody can know.

        Args:
            audio: Mono at `HEARING_RATE`.
            text: What was to be said.
            language: A language tag such as "en" or "en-US".

        Raises:
            UnreadableAudioError: The audio is too long.
            UnknownLanguageError: The language cannot be scored.
            UnscorableTextError: The text has no words, too many, or unknown ones.
            BusyError: The queue is full.
        """
        if len(audio) > LONGEST_SECONDS * HEARING_RATE:
            raise UnreadableAudioError(f"the audio is longer than {LONGEST_SECONDS} s: send tries")
        if self._waiting >= self._backlog:
            raise BusyError(f"{self._waiting} utterances wait for scores: send this again")
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._worker, self._score, audio, text, language)
        finally:
            self._waiting -= 1

    def _score(self, audio: Samples, text: str, language: str) -> Assessment | Refusal:
        return self._scorer.score(audio, self._scorer.reference(text, language))
