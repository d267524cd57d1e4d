"""A client of the speech server that scores pronunciation.

The server answers `POST {url}/audio/pronunciation` in the names of Azure's pronunciation
assessment, as loqua-speech does.
"""

import io
import wave
from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, get_args

import structlog
from httpx import AsyncClient, HTTPError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .display import PronunciationScore, ScoredSound, ScoredWord, WordError

if TYPE_CHECKING:
    from livekit.rtc import AudioFrame

__all__ = ["AssessedSound", "AssessedWord", "Assessment", "PronunciationScorer"]

TIMEOUT_SECONDS = 4.0

_TICKS = 10_000_000
"""Units of offsets and durations in a second."""

_log = structlog.get_logger()


class _Received(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _RankedSound(_Received):
    """A sound that may have been said: its IPA, empty if it is none of the language's."""

    phoneme: str = Field(alias="Phoneme")
    score: float = Field(alias="Score")


class _Timed(_Received):
    offset: int = Field(alias="Offset", default=0, ge=0, le=600 * _TICKS)
    duration: int = Field(alias="Duration", default=0, ge=0, le=600 * _TICKS)

    @property
    def start(self) -> float:
        """The start, in seconds since the recording began."""
        return self.offset / _TICKS

    @property
    def end(self) -> float:
        """The end, in seconds since the recording began."""
        return (self.offset + self.duration) / _TICKS


class AssessedSound(_Timed):
    """A sound of a word, as it was said.

    Attributes:
        phoneme: The sound of the text, in IPA.
        accuracy: 0 to 100.
        substitution: How likely another sound was said, from 0 to 1.
        ranked: What it was taken for, likeliest first.
    """

    phoneme: str = Field(alias="Phoneme")
    accuracy: float = Field(alias="AccuracyScore", ge=0, le=100, allow_inf_nan=False)
    substitution: float = Field(alias="Substitution", default=0, ge=0, le=1, allow_inf_nan=False)
    ranked: tuple[_RankedSound, ...] = Field(alias="NBestPhonemes", default=())

    @property
    def heard(self) -> str | None:
        """The other sound that was heard; None if it is none of the language's."""
        first = self.ranked[0].phoneme if self.ranked else self.phoneme
        return first if first != self.phoneme and first else None


class AssessedWord(_Timed):
    """A word of the text, or what was said besides.

    Attributes:
        word: As the text has it; of an insertion, its sounds in IPA.
        accuracy: 0 to 100; None if it was left out or inserted.
        error: `None`, `Mispronunciation`, `Omission` or `Insertion`, in Azure's words.
        phonemes: Its sounds; none where there is no accuracy.
    """

    word: str = Field(alias="Word")
    accuracy: float | None = Field(
        alias="AccuracyScore", default=None, ge=0, le=100, allow_inf_nan=False
    )
    error: str = Field(alias="ErrorType", default="None")
    phonemes: tuple[AssessedSound, ...] = Field(alias="Phonemes", default=())


class Assessment(_Received):
    """The pronunciation scores of a text.

    Attributes:
        total: 0 to 100, of sounds, pauses, pace and melody.
        confidence: From 1, if the text fits the sound as well as any could, to 0.
        words: The text's words and what was inserted, in order.
    """

    total: float = Field(alias="PronScore", ge=0, le=100, allow_inf_nan=False)
    confidence: float = Field(alias="Confidence", default=1, ge=0, le=1, allow_inf_nan=False)
    words: tuple[AssessedWord, ...] = Field(alias="Words", default=())

    @property
    def is_complete(self) -> bool:
        """Whether no word of the text was left out."""
        return all(word.error != "Omission" for word in self.words)

    def present(self, text: str) -> PronunciationScore:
        """Return the assessment as `lesson.show` takes it.

        Args:
            text: What was to be said.
        """
        words = tuple(_present(word) for word in self.words)
        return PronunciationScore(text=text, score=self.total, words=words)


class _Response(_Received):
    best: tuple[Assessment, ...] = Field(alias="NBest", default=())


class PronunciationScorer:
    """A client of a speech server that scores pronunciation.

    Args:
        url: The address that `/audio/pronunciation` follows, such as `http://127.0.0.1:8085/v1`.
        http: The HTTP client, which the scorer closes.
    """

    def __init__(self, url: str, http: AsyncClient) -> None:
        self._url = f"{url.rstrip('/')}/audio/pronunciation"
        self._http = http

    async def score(
        self, sound: "Sequence[AudioFrame]", text: str, language: str
    ) -> Assessment | None:
        """Return how a text was said, or None if there is no telling.

        None if the server is unreachable, does not score the language, or hears no speech or
        another text.

        Args:
            sound: The recording, of at least one frame.
            text: What was said or was to be said.
            language: Its ISO 639-1 code.
        """
        try:
            response = await self._http.post(
                self._url,
                files={"file": ("try.wav", _wav(sound), "audio/wav")},
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


def _wav(sound: "Sequence[AudioFrame]") -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(sound[0].num_channels)
        written.setsampwidth(2)
        written.setframerate(sound[0].sample_rate)
        written.writeframes(b"".join(bytes(frame.data) for frame in sound))
    return file.getvalue()


def _present(word: AssessedWord) -> ScoredWord:
    sounds = tuple(
        ScoredSound(sound=it.phoneme, score=it.accuracy, start=it.start, end=it.end, heard=it.heard)
        for it in word.phonemes
    )
    error = next((it for it in get_args(WordError) if it == word.error), "None")
    return ScoredWord(
        word=word.word,
        score=word.accuracy,
        start=word.start,
        end=word.end,
        error=error,
        sounds=sounds,
    )
