"""The one worker that scores for all lessons."""

from collections.abc import Sequence

from loqua_speech.audio import HEARING_RATE, Samples
from loqua_speech.errors import UnreadableAudioError
from loqua_speech.pronunciation.free_speech import SpokenWord, score_free_speech
from loqua_speech.pronunciation.results import AssessmentResult, Refusal
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.worker import ModelWorker

__all__ = ["ScoringQueue", "check_length"]

LONGEST_SECONDS = 30


def check_length(audio: Samples) -> None:
    """Raise an error for audio that is too long to be scored.

    Raises:
        UnreadableAudioError: It is.
    """
    if len(audio) > LONGEST_SECONDS * HEARING_RATE:
        raise UnreadableAudioError(f"the audio is longer than {LONGEST_SECONDS} s: send tries")


class ScoringQueue(ModelWorker):
    """Score one utterance at a time, in order of arrival, off the event loop."""

    def __init__(self, scorer: Scorer, *, backlog: int = 12) -> None:
        """Score with this scorer.

        Args:
            scorer: The loaded scorer.
            backlog: How many utterances may be in the queue, the one being scored included.
        """
        super().__init__("pronunciation", backlog)
        self._scorer = scorer

    async def score(self, audio: Samples, text: str, language: str) -> AssessmentResult | Refusal:
        """Return the assessment of the text, or the reason why there is none.

        Args:
            audio: Mono at `HEARING_RATE`.
            text: The expected text.
            language: A language tag such as "en" or "en-US".

        Raises:
            UnreadableAudioError: The audio is too long.
            UnknownLanguageError: The language cannot be scored.
            UnscorableTextError: The text has no words, too many, or unknown ones.
            BusyError: The queue is full.
        """
        check_length(audio)
        with self.admit("utterances wait for scores"):
            return await self.run(self._score, audio, text, language)

    async def score_free_speech(
        self, audio: Samples, heard: Sequence[SpokenWord], language: str
    ) -> AssessmentResult | Refusal:
        """Return the assessment of free speech, or the reason why there is none.

        Args:
            audio: Mono at `HEARING_RATE`.
            heard: The recogniser's words.
            language: A language tag such as "en" or "en-US".

        Raises:
            UnreadableAudioError: The audio is too long.
            UnknownLanguageError: The language cannot be scored.
            UnscorableTextError: There are too many words.
            BusyError: The queue is full.
        """
        check_length(audio)
        with self.admit("utterances wait for scores"):
            return await self.run(score_free_speech, self._scorer, audio, heard, language)

    def _score(self, audio: Samples, text: str, language: str) -> AssessmentResult | Refusal:
        return self._scorer.score(audio, self._scorer.reference(text, language))
