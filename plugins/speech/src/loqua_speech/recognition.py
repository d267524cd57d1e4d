"""Speech-to-text by Whisper, for up to 13 s of audio at a time."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from faster_whisper import WhisperModel  # type: ignore[import-untyped]  # ships no types
from faster_whisper.audio import pad_or_trim  # type: ignore[import-untyped]  # likewise
from faster_whisper.tokenizer import Tokenizer  # type: ignore[import-untyped]  # likewise
from faster_whisper.transcribe import (  # type: ignore[import-untyped]  # likewise
    get_suppressed_tokens,
)

from loqua_speech.audio import HEARING_RATE, Samples
from loqua_speech.errors import UnknownLanguageError, WeightsError
from loqua_speech.inventions import is_invention
from loqua_speech.pronunciation.reading import RecogniserReading
from loqua_speech.rescoring import Hypothesis, Rescorer
from loqua_speech.voice_activity import VoiceActivity, detect_voice
from loqua_speech.weights import Weights

PIECE_SECONDS = 13
"""A piece may be this long: the 15 s window less what the encoder needs to see the end."""

_QUIET_PEAK = 0.001  # -60 dBFS
_SOFT_PEAK = 0.25
"""Whisper doubts what is softer, and loses short answers: it is brought to this level."""
# Whisper's own pair, 0.6 and -1, takes coughs and breath for words and loses single spoken ones.
_NO_SPEECH = 0.4
_LOW_LOG_PROBABILITY = -1.1
# Several people who talk at once reach -1 where Whisper hears nobody; of 242 learners' utterances,
# half of them in noise, none is there.
_PROBABLY_NO_SPEECH = 0.55
_DOUBTED_LOG_PROBABILITY = -0.9
# Where the voice detector hears nobody, only a text that Whisper is sure of is one: speech through
# a telephone, say. README.md has figures.
_UNVOICED_SECONDS = 0.1
_SURE_SPEECH = 0.2
_SURE_LOG_PROBABILITY = -1.0
# Of a word as short as "no", Whisper is never sure; a voice that is clear and soon over is believed
# down to here. Longer ones may be people who talk in the background.
_SHORT_SECONDS = 1.0
_CLEAR_SECONDS = 0.06
_SHORT_NO_SPEECH = 0.6
_SHORT_LOG_PROBABILITY = -2.0
# A strong accent sounds like the native language, but leaves the other one possible: of 62 accented
# or telephone utterances none counts as another language, of 13 in another language 9 do.
_SURE_LANGUAGE = 0.85
_EXCLUDED_LANGUAGE = 0.01
_SECONDS_OF_A_LANGUAGE = 0.8
_REPETITIVE = 2.4  # Whisper's own
_TOKENS_A_SECOND = 8  # the fastest speakers need six
_TOKENS_BESIDE = 12
_HOP = 160  # samples a frame of the encoder's input
_WHOLE = 3000  # frames that the encoder takes at most
_AFTER = 50  # frames that it sees after the sound, at least
_MOST_READ = 400  # tokens; the decoder takes 448
_LEAST_LIKELY = 1e-8
# So that `read` need not wait until `hear` is done, which takes five times as long.
_WORKERS = 2
_HYPOTHESES = 8  # the likeliest texts, of which the sound may choose another than the first


@dataclass(frozen=True, slots=True)
class _Decoding:
    """Parameters of decoding: the encoder's context (100 frames a second), and sampling."""

    frames: int
    temperature: float


# The encoder's cost goes with its window. Half of Whisper's 30 s costs a third and errs no more
# often on accented speech (37.5 % of words against 36.7 %); a runaway gets the whole, then luck.
_ATTEMPTS = (_Decoding(1500, 0.0), _Decoding(3000, 0.0), _Decoding(3000, 0.6))


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word of a transcript: its position in seconds, and its probability."""

    text: str
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True)
class Passage:
    """The transcript of up to 13 s of audio.

    Attributes:
        text: The text; empty without speech.
        language: ISO 639-1 code: the asked one, unless another was certainly spoken.
        tokens: Whisper's tokens of the text.
        log_probability: Mean of the tokens' of the likeliest text.
        no_speech: Probability that nobody speaks.
        temperature: What the text was sampled at; 0 is the likeliest.
        voice: What the voice detector heard.
        words: The words of the text.
        likeliest: The text and less likely ones.
    """

    text: str
    language: str
    tokens: tuple[int, ...] = ()
    log_probability: float = 0.0
    no_speech: float = 1.0
    temperature: float = 0.0
    voice: VoiceActivity = field(default_factory=VoiceActivity)
    words: tuple[TimedWord, ...] = ()
    likeliest: tuple[Hypothesis, ...] = ()

    @property
    def compression_ratio(self) -> float:
        """The compression ratio of the text, which grows with repetitions; prose lies below two."""
        encoded = self.text.encode()
        return len(encoded) / len(zlib.compress(encoded))

    @property
    def is_silence(self) -> bool:
        """Whether the text was made up from silence or noise."""
        if is_invention(self.text, self.language):
            return True
        if self.voice.seconds < _UNVOICED_SECONDS and not self._is_sure:
            return True
        needed = (
            _DOUBTED_LOG_PROBABILITY
            if self.no_speech > _PROBABLY_NO_SPEECH
            else _LOW_LOG_PROBABILITY
        )
        is_doubted = self.no_speech > _NO_SPEECH and self.log_probability < needed
        return is_doubted and not self._is_short_answer

    @property
    def _is_sure(self) -> bool:
        return self.no_speech < _SURE_SPEECH and self.log_probability > _SURE_LOG_PROBABILITY

    @property
    def _is_short_answer(self) -> bool:
        is_clear = self.voice.clear_seconds >= _CLEAR_SECONDS
        is_possible = (
            self.no_speech < _SHORT_NO_SPEECH and self.log_probability > _SHORT_LOG_PROBABILITY
        )
        return is_clear and self.voice.seconds <= _SHORT_SECONDS and is_possible

    def runs_away(self, limit: int) -> bool:
        """Return whether the decoder repeats itself."""
        return len(self.tokens) >= limit or self.compression_ratio > _REPETITIVE


class Whisper:
    """The model in memory; one caller at a time.

    Attributes:
        name: The model's name on the wire.
    """

    def __init__(self, weights: Weights, *, threads: int, rescorer: Rescorer | None = None) -> None:
        """Load the model and warm it up.

        Args:
            weights: What to load.
            threads: Processor cores to use.
            rescorer: Chooses between texts that are nearly as likely; None for the likeliest.

        Raises:
            WeightsError: It is no model that CTranslate2 can load.
        """
        self.name = weights.name
        self._model = _loaded(weights, threads)
        self._languages = frozenset(self._model.supported_languages)
        self._digits = _digit_tokens(self._model)
        self._rescorer = rescorer
        self.transcribe(np.sin(np.arange(HEARING_RATE, dtype=np.float32)), language="en")

    def language(self, code: str) -> str:
        """Return the model's code for a language tag: "es" for "es-MX".

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

    def transcribe(self, audio: Samples, language: str | None, prompt: str = "") -> Passage:
        """Return the transcript of up to 13 s of audio.

        Args:
            audio: Mono at `HEARING_RATE`.
            language: One that `language` returned; None to detect it. Speech that is certainly in
                another language is written in that one.
            prompt: Words to expect, in the audio's language.
        """
        peak = float(np.abs(audio).max(initial=0.0))
        if peak < _QUIET_PEAK:
            return Passage("", language or "en")
        audio = audio * np.float32(max(1.0, _SOFT_PEAK / peak))
        features = self._model.feature_extractor(audio)
        limit = _TOKENS_BESIDE + _TOKENS_A_SECOND * len(audio) // HEARING_RATE
        voice = detect_voice(audio)
        # Of a sound without a voice only a text that needs no second attempt is one.
        for attempt in _ATTEMPTS if voice.seconds >= _UNVOICED_SECONDS else _ATTEMPTS[:1]:
            encoded = self._model.encode(pad_or_trim(features, attempt.frames))
            tokenizer = self._tokenizer(self._spoken_language(encoded, language, voice.seconds))
            decoded = self._decode(encoded, tokenizer, attempt, limit, prompt)
            passage = replace(decoded, voice=voice)
            if passage.is_silence:
                break
            if not passage.runs_away(limit):
                passage = self._rescored(audio, passage)
                frames = min(features.shape[-1], attempt.frames)
                words = self._words(encoded, tokenizer, passage.tokens, frames)
                return replace(passage, words=words)
        return Passage("", passage.language)

    def read(self, audio: Samples, words: Sequence[str]) -> RecogniserReading | None:
        """Return how likely English words are in up to 30 s of audio; None if they are too many.

        Unlike `hear`, this may run in any thread and beside it: CTranslate2 has two workers.

        Args:
            audio: Mono at `HEARING_RATE`.
            words: One or more.
        """
        tokenizer = self._tokenizer("en")
        tokens = [tokenizer.encode(f" {word.lower()}") for word in words]
        text = [token for of_word in tokens for token in of_word]
        if len(text) > _MOST_READ:
            return None
        length = len(audio) // _HOP
        window = min(-(-(length + _AFTER) // _AFTER) * _AFTER, _WHOLE)
        encoded = self._model.encode(pad_or_trim(self._model.feature_extractor(audio), window))
        result = self._model.model.align(
            encoded, [*tokenizer.sot_sequence], [text], min(length, window)
        )[0]
        likely = np.log(np.maximum(result.text_token_probs[: len(text)], _LEAST_LIKELY))
        return RecogniserReading(
            np.array([_read_word(it) for it in np.split(likely, _ends(tokens)[:-1])]),
            np.asarray(encoded)[0, : length // 2 + 1].astype(np.float16),
        )

    def _tokenizer(self, language: str) -> Tokenizer:
        return Tokenizer(
            self._model.hf_tokenizer,
            self._model.model.is_multilingual,
            task="transcribe",
            language=language,
        )

    def _decode(
        self, encoded: object, tokenizer: Tokenizer, attempt: _Decoding, limit: int, prompt: str
    ) -> Passage:
        prompt_tokens = self._model.get_prompt(
            tokenizer,
            tokenizer.encode(f" {prompt.strip()}") if prompt.strip() else [],
            without_timestamps=True,
        )
        sampling = (
            {"sampling_temperature": attempt.temperature, "sampling_topk": 0, "beam_size": 1}
            if attempt.temperature
            else {"beam_size": _HYPOTHESES, "num_hypotheses": _HYPOTHESES}
        )
        result = self._model.model.generate(
            encoded,
            [prompt_tokens],
            max_length=len(prompt_tokens) + limit,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=[*get_suppressed_tokens(tokenizer, [-1]), *self._digits],
            **sampling,
        )[0]
        found = [
            Hypothesis(tokenizer.decode(tokens).strip(), tuple(tokens), score * len(tokens))
            for tokens, score in zip(result.sequences_ids, result.scores, strict=True)
        ]
        return Passage(
            text=found[0].text,
            language=tokenizer.language_code,
            tokens=found[0].tokens,
            log_probability=result.scores[0],
            no_speech=result.no_speech_prob,
            temperature=attempt.temperature,
            likeliest=tuple(found),
        )

    def _rescored(self, audio: Samples, passage: Passage) -> Passage:
        """Return a passage with the text that the sound fits."""
        if self._rescorer is None:
            return passage
        said = self._rescorer.choose(audio, passage.language, passage.likeliest)
        return replace(passage, text=said.text, tokens=said.tokens)

    def _words(
        self, encoded: object, tokenizer: Tokenizer, tokens: tuple[int, ...], frames: int
    ) -> tuple[TimedWord, ...]:
        """Return the words of a text, punctuation with the word before it."""
        words: list[TimedWord] = []
        for found in self._model.find_alignment(tokenizer, [list(tokens)], encoded, frames)[0]:
            text, probability = found["word"].strip(), float(found["probability"])
            if words and not any(letter.isalnum() for letter in text):
                words[-1] = replace(words[-1], text=words[-1].text + text)
            elif text:
                start, end = float(found["start"]), float(found["end"])
                words.append(TimedWord(text, start, end, probability))
        return tuple(words)

    def _spoken_language(self, encoded: object, asked: str | None, voiced: float) -> str:
        """Return the language to write: the asked one, unless another is certainly spoken."""
        if not self._model.model.is_multilingual:
            return "en"
        if asked and voiced < _SECONDS_OF_A_LANGUAGE:
            return asked
        ranked = self._model.model.detect_language(encoded)[0]
        probabilities = {str(token).strip("<|>"): float(it) for token, it in ranked}
        likeliest = max(probabilities, key=lambda it: probabilities[it])
        is_other = (
            probabilities[likeliest] > _SURE_LANGUAGE
            and probabilities.get(asked or "", 0.0) < _EXCLUDED_LANGUAGE
        )
        return likeliest if asked is None or is_other else asked


def _ends(tokens: Sequence[Sequence[int]]) -> np.ndarray:
    """Return where each word's tokens end in the text's."""
    return np.cumsum([len(of_word) for of_word in tokens])


def _read_word(likely: np.ndarray) -> tuple[float, float, float, float]:
    return float(likely.sum()), float(likely.mean()), float(likely.min()), float(likely[0])


def _digit_tokens(model: WhisperModel) -> tuple[int, ...]:
    """Return the tokens with digits: "dos" is to be written as learners say and learn it."""
    vocabulary: dict[str, int] = model.hf_tokenizer.get_vocab()
    return tuple(
        number
        for token, number in vocabulary.items()
        if not token.startswith("<|") and any(it.isdigit() for it in token)
    )


def _loaded(weights: Weights, threads: int) -> WhisperModel:
    try:
        return WhisperModel(
            str(weights.directory),
            device="cpu",
            compute_type="int8",
            cpu_threads=threads,
            num_workers=_WORKERS,
        )
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"no Whisper model in {weights.directory}: {error}") from error
