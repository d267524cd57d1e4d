"""The one worker that scores for all lessons."""

from loqua_speech.audio import HEARING_RATE, Samples
from loqua_speech.errors import UnreadableAudioError
from loqua_speech.pronunciation.results import Assessment, Refusal
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.worker import ModelWorker

__all__ = ["ScoringQueue"]

LONGEST_SECONDS = 30


class ScoringQueue(ModelWorker):
    """Scores one utterance at a time, first come, first served, off the event loop."""

    def __init__(self, scorer: Scorer, *, backlog: int = 12) -> None:
        """Score with this scorer.

        Args:
            scorer: The loaded scorer.
            backlog: How many utterances may be in the queue, the one being scored included.
        """
        super().__init__("pronunciation", backlog)
        self._scorer = scorer

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
        with self.admit("utterances wait for scores"):
            return await self.run(self._score, audio, text, language)

    def _score(self, audio: Samples, text: str, language: str) -> Assessment | Refusal:
        return self._scorer.score(audio, self._scorer.reference(text, language))
