"""Scores of the learner's sound, from a speech server.

The server answers `POST {scorer}/audio/pronunciation` in the names of Azure's pronunciation
assessment, as loqua-speech does.
"""

from http import HTTPStatus

import structlog
from httpx import AsyncClient, HTTPError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from loqua_host import PronunciationScore, ScoredSound, ScoredWord

__all__ = ["Assessment", "Phoneme", "Scorer", "Word", "present_score"]

TIMEOUT_SECONDS = 4.0

_TICKS = 10_000_000
"""Units of offsets and durations in a second."""

_log = structlog.get_logger()


class _Received(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RankedPhoneme(_Received):
    """A sound that may have been said: its IPA, empty if it is none of the language's."""

    phoneme: str = Field(alias="Phoneme")
    score: float = Field(alias="Score")


class _Timed(_Received):
    offset: int = Field(alias="Offset", default=0, ge=0, le=600 * _TICKS)
    duration: int = Field(alias="Duration", default=0, ge=0, le=600 * _TICKS)

    @property
    def start(self) -> float:
        """When it begins, in seconds since the recording began."""
        return self.offset / _TICKS

    @property
    def end(self) -> float:
        """When it ends."""
        return (self.offset + self.duration) / _TICKS


class Phoneme(_Timed):
    """A sound of a word, and what it was taken for, likeliest first.

    `substitution` is how likely another sound was said, from 0 to 1.
    """

    phoneme: str = Field(alias="Phoneme")
    accuracy: float = Field(alias="AccuracyScore", ge=0, le=100, allow_inf_nan=False)
    substitution: float = Field(alias="Substitution", default=0, ge=0, le=1, allow_inf_nan=False)
    ranked: tuple[RankedPhoneme, ...] = Field(alias="NBestPhonemes", default=())

    @property
    def heard(self) -> str | None:
        """The other sound that was heard; None if it is none of the language's."""
        first = self.ranked[0].phoneme if self.ranked else self.phoneme
        return first if first != self.phoneme and first else None


class Word(_Timed):
    """A word of the text; one that was left out or inserted has no accuracy."""

    word: str = Field(alias="Word")
    accuracy: float | None = Field(
        alias="AccuracyScore", default=None, ge=0, le=100, allow_inf_nan=False
    )
    phonemes: tuple[Phoneme, ...] = Field(alias="Phonemes", default=())


class Assessment(_Received):
    """How a sentence was said; scores are 0 to 100."""

    total: float = Field(alias="PronScore", ge=0, le=100, allow_inf_nan=False)
    words: tuple[Word, ...] = Field(alias="Words", default=())


class _Response(_Received):
    best: tuple[Assessment, ...] = Field(alias="NBest", default=())


def present_score(assessment: Assessment, text: str) -> PronunciationScore:
    """Return an assessment as the learner's page shows it.

    Args:
        assessment: How the sentence was said.
        text: The sentence.
    """
    return PronunciationScore(
        text=text,
        score=assessment.total,
        words=tuple(
            ScoredWord(
                word=word.word,
                score=word.accuracy,
                start=word.start,
                end=word.end,
                sounds=tuple(
                    ScoredSound(
                        sound=it.phoneme,
                        score=it.accuracy,
                        start=it.start,
                        end=it.end,
                        heard=it.heard,
                    )
                    for it in word.phonemes
                ),
            )
            for word in assessment.words
        ),
    )


class Scorer:
    """A client of the speech server.

    Args:
        url: The address that `/audio/pronunciation` follows, such as `http://127.0.0.1:8085/v1`.
        http: The HTTP client, which the scorer closes.
    """

    def __init__(self, url: str, http: AsyncClient) -> None:
        self._url = f"{url.rstrip('/')}/audio/pronunciation"
        self._http = http

    async def score(self, sound: bytes, text: str, language: str) -> Assessment | None:
        """Return the assessment of a WAV file, or None if there is no telling.

        None if the server is unreachable, does not score the language, or hears no speech or
        another text.
        """
        try:
            response = await self._http.post(
                self._url,
                files={"file": ("try.wav", sound, "audio/wav")},
                data={"text": text, "language": language},
                timeout=TIMEOUT_SECONDS,
            )
            if response.status_code == HTTPStatus.BAD_REQUEST:
                return None  # a language or a text that the server does not score
            response.raise_for_status()
            best = _Response.model_validate_json(response.content).best
        except (HTTPError, ValidationError) as error:
            _log.warning("pronunciation.unscored", error=type(error).__name__)
            return None
        return best[0] if best else None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
