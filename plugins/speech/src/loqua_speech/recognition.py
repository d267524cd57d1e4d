"""Speech-to-text by Whisper, for up to 13 s of audio at a time."""

import zlib
from dataclasses import dataclass

import numpy as np
from faster_whisper import WhisperModel  # type: ignore[import-untyped]  # ships no types
from faster_whisper.audio import pad_or_trim  # type: ignore[import-untyped]  # likewise
from faster_whisper.tokenizer import Tokenizer  # type: ignore[import-untyped]  # likewise
from faster_whisper.transcribe import (  # type: ignore[import-untyped]  # likewise
    get_suppressed_tokens,
)

from loqua_speech.audio import HEARING_RATE, Samples
from loqua_speech.errors import UnknownLanguageError, WeightsError
from loqua_speech.weights import Weights

PIECE_SECONDS = 13
"""A piece may be this long: the 15 s window less what the encoder needs to see the end."""

_QUIET_PEAK = 0.001  # -60 dBFS
# Whisper's own pair, 0.6 and -1, takes coughs and breath for words and loses single spoken ones.
_NO_SPEECH = 0.4
_LOW_LOG_PROBABILITY = -1.5
_REPETITIVE = 2.4  # Whisper's own
_TOKENS_A_SECOND = 8  # the fastest speakers need six
_TOKENS_BESIDE = 12


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One way to decode: how much the encoder sees (100 frames a second), how it samples."""

    frames: int
    temperature: float


# The encoder's cost goes with its window. Half of Whisper's 30 s costs a third and errs no more
# often on accented speech (37.5 % of words against 36.7 %); a runaway gets the whole, then luck.
_ATTEMPTS = (_Attempt(1500, 0.0), _Attempt(3000, 0.0), _Attempt(3000, 0.6))


@dataclass(frozen=True, slots=True)
class Passage:
    """What was heard in up to 13 s of audio.

    Attributes:
        text: Empty where nobody speaks.
        language: ISO 639-1 code, given or detected.
        tokens: Whisper's tokens of the text.
        log_probability: Mean of the tokens'.
        no_speech: Probability that nobody speaks.
        temperature: What the text was sampled at; 0 is the likeliest.
    """

    text: str
    language: str
    tokens: tuple[int, ...] = ()
    log_probability: float = 0.0
    no_speech: float = 1.0
    temperature: float = 0.0

    @property
    def compression_ratio(self) -> float:
        """How repetitive the text is; prose lies below two."""
        encoded = self.text.encode()
        return len(encoded) / len(zlib.compress(encoded))

    @property
    def is_silence(self) -> bool:
        """Whether the text was made up from silence or noise."""
        return self.no_speech > _NO_SPEECH and self.log_probability < _LOW_LOG_PROBABILITY

    def runs_away(self, limit: int) -> bool:
        """Whether the decoder fell into repeating itself."""
        return len(self.tokens) >= limit or self.compression_ratio > _REPETITIVE


class Whisper:
    """The model in memory; one caller at a time.

    Attributes:
        name: The model's name on the wire.
    """

    def __init__(self, weights: Weights, *, threads: int) -> None:
        """Load the model and warm it up.

        Args:
            weights: What to load.
            threads: Processor cores to use.

        Raises:
            WeightsError: It is no model that CTranslate2 can load.
        """
        self.name = weights.name
        self._model = _loaded(weights, threads)
        self._languages = frozenset(self._model.supported_languages)
        self.hear(np.sin(np.arange(HEARING_RATE, dtype=np.float32)), language="en")

    def language(self, code: str) -> str:
        """The model's code for a language tag: "es" for "es-MX".

        Raises:
            UnknownLanguageError: The model does not know the language.
        """
        language = code.strip().replace("_", "-").partition("-")[0].lower()
        if language not in self._languages:
            raise UnknownLanguageError(
                f"unknown language {code[:40]!r}: send an ISO 639-1 code such as 'es', or none to"
                " have it detected"
            )
        return language

    def hear(self, audio: Samples, language: str | None, prompt: str = "") -> Passage:
        """What is said in up to 13 s of audio.

        Args:
            audio: Mono at `HEARING_RATE`.
            language: One that `language` returned; None to detect it.
            prompt: Words to expect, in the audio's language.
        """
        if audio.size == 0 or float(np.abs(audio).max()) < _QUIET_PEAK:
            return Passage("", language or "en")
        features = self._model.feature_extractor(audio)
        limit = _TOKENS_BESIDE + _TOKENS_A_SECOND * len(audio) // HEARING_RATE
        for attempt in _ATTEMPTS:
            passage = self._attempt(attempt, features, limit, language, prompt)
            if passage.is_silence:
                break
            if not passage.runs_away(limit):
                return passage
        return Passage("", passage.language)

    def _attempt(
        self,
        attempt: _Attempt,
        features: Samples,
        limit: int,
        language: str | None,
        prompt: str,
    ) -> Passage:
        encoded = self._model.encode(pad_or_trim(features, attempt.frames))
        language = language or self._detected(encoded)
        tokenizer = Tokenizer(
            self._model.hf_tokenizer,
            self._model.model.is_multilingual,
            task="transcribe",
            language=language,
        )
        prompt_tokens = self._model.get_prompt(
            tokenizer,
            tokenizer.encode(f" {prompt.strip()}") if prompt.strip() else [],
            without_timestamps=True,
        )
        sampling = (
            {"sampling_temperature": attempt.temperature, "sampling_topk": 0, "beam_size": 1}
            if attempt.temperature
            else {"beam_size": 5}
        )
        result = self._model.model.generate(
            encoded,
            [prompt_tokens],
            max_length=len(prompt_tokens) + limit,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            **sampling,
        )[0]
        tokens = tuple(result.sequences_ids[0])
        return Passage(
            text=tokenizer.decode(tokens).strip(),
            language=language,
            tokens=tokens,
            log_probability=result.scores[0],
            no_speech=result.no_speech_prob,
            temperature=attempt.temperature,
        )

    def _detected(self, encoded: object) -> str:
        if not self._model.model.is_multilingual:
            return "en"
        token, _ = self._model.model.detect_language(encoded)[0][0]
        return str(token).strip("<|>")


def _loaded(weights: Weights, threads: int) -> WhisperModel:
    try:
        return WhisperModel(
            str(weights.directory), device="cpu", compute_type="int8", cpu_threads=threads
        )
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"no Whisper model in {weights.directory}: {error}") from error
