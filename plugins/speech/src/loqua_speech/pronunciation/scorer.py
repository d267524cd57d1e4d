"""The scorer: pronunciation of a known text, from the audio."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from loqua_speech.errors import UnknownLanguageError, UnscorableTextError
from loqua_speech.pronunciation.acoustics import loudness, normalise
from loqua_speech.pronunciation.alignment import align
from loqua_speech.pronunciation.evidence import Evidence, measure, phone_numbers
from loqua_speech.pronunciation.head import Head, Scores
from loqua_speech.pronunciation.lexicon import PronunciationLexicon, ReferenceWord, primary_language
from loqua_speech.pronunciation.miscues import OMITTED, Insertion, find_miscues
from loqua_speech.pronunciation.network import FRAME_SECONDS, Frames, PhoneNetwork
from loqua_speech.pronunciation.phones import IPA, PHONES
from loqua_speech.pronunciation.reading import Reader
from loqua_speech.pronunciation.results import (
    AssessmentResult,
    Miscue,
    PhoneResult,
    Refusal,
    WordResult,
)

__all__ = ["LONGEST_TEXT", "MISPRONOUNCED", "OTHER_TEXT", "Scorer"]

LONGEST_TEXT = 60
"""Words; scoring takes time in proportion to words times seconds."""

MISPRONOUNCED = 60.0
"""A phone's score below it counts as wrong: the best F1 in cross-validation on TRAIN."""

_RATE = 16_000
_QUIETEST = 10 ** (-55 / 10)
_SHORTEST_SECONDS = 0.2
OTHER_TEXT = 4.0
"""Nats a phone by which free sounds are likelier than another text (MODEL_CARD.md: its errors)."""
_MOST_OMITTED = 0.5
"""Share of the words; a text that lacks more is another one."""
_FEWEST_HEARD = 0.2
"""Sounds heard for each phone of the text, from which on somebody speaks."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """Everything needed to score; threads may share it.

    Attributes:
        network: Hears phones.
        head: Scores them.
        lexicon: Knows how words are pronounced.
        reader: Reads a text in a sound; scores are less accurate without.
    """

    network: PhoneNetwork
    head: Head
    lexicon: PronunciationLexicon
    reader: Reader | None = None

    @classmethod
    def packaged(cls) -> Self:
        """Return the scorer with all that the packages ship, but a reader.

        Raises:
            WeightsError: If a part of it is missing or damaged.
        """
        return cls(PhoneNetwork.packaged(), Head.packaged(), PronunciationLexicon.packaged())

    def reference(self, text: str, language: str) -> tuple[ReferenceWord, ...]:
        """Return the words to be said.

        Raises:
            UnknownLanguageError: If the language is not English.
            UnscorableTextError: If there is no word, too many, or one without pronunciation.
        """
        if primary_language(language) != "en":
            raise UnknownLanguageError(
                f"pronunciation in {language[:20]!r} cannot be scored: the language must be en"
            )
        words = self.lexicon.pronounce(text)
        silent = [word.text for word in words if not word.phones]
        if not words or len(words) > LONGEST_TEXT:
            raise UnscorableTextError(f"the text must have 1 to {LONGEST_TEXT} words")
        if silent:
            raise UnscorableTextError(
                f"no pronunciation is known for {len(silent)} of the words: write words in letters"
            )
        return words

    def score(
        self,
        samples: NDArray[np.float32],
        text: Sequence[ReferenceWord],
        *,
        free_speech: bool = False,
    ) -> AssessmentResult | Refusal:
        """Return the assessment of the text, or the reason why there is none.

        Args:
            samples: Mono at 16 kHz.
            text: From `reference`.
            free_speech: Whether the text is the recogniser's, instead of one that was to be said.
        """
        if len(samples) < _SHORTEST_SECONDS * _RATE or not samples.any():
            return Refusal.NO_SPEECH
        if loudness(samples) < _QUIETEST:
            return Refusal.TOO_QUIET
        spoken, start = normalise(samples)
        frames = self.network.listen(spoken)
        omitted = _omitted(frames, text)
        said = [word for word, missing in zip(text, omitted, strict=True) if not missing]
        alignment = align(frames.log_posteriors, phone_numbers(said))
        evidence = measure(spoken, frames, alignment, said)
        refusal = _refusal(evidence)
        if refusal:
            return refusal
        reading = self.reader(spoken, [word.text for word in said]) if self.reader else None
        score = self.head.score_free_speech if free_speech else self.head.score
        scores = score(evidence, reading)
        substitutions = self.head.substitutions(evidence)
        utterance = _Utterance(text, omitted, evidence, scores, substitutions, start / _RATE)
        return _assessment(utterance, find_miscues(alignment, evidence.words).inserted)


@dataclass(frozen=True, slots=True)
class _Utterance:
    """A scored utterance.

    Attributes:
        text: All words that were to be said.
        omitted: Which of them were not.
        evidence: Measurements of the words that were said.
        scores: Of these words.
        substitutions: Of their phones.
        start: Seconds before the first frame.
    """

    text: Sequence[ReferenceWord]
    omitted: NDArray[np.bool_]
    evidence: Evidence
    scores: Scores
    substitutions: NDArray[np.float64]
    start: float

    def seconds(self, frame: float) -> float:
        return round(self.start + FRAME_SECONDS * float(frame), 3)


def _omitted(frames: Frames, text: Sequence[ReferenceWord]) -> NDArray[np.bool_]:
    """Return which words were left out; none if that would be most of them.

    The clearest one first: a word that was not said displaces its neighbours, which seem to be left
    out as well until it is gone.
    """
    omitted = np.zeros(len(text), bool)
    while omitted.mean() <= _MOST_OMITTED:
        said = np.flatnonzero(~omitted).tolist()
        gains = _omission_gains(frames, [text[at] for at in said])
        if gains.max() <= OMITTED:
            return omitted
        omitted[said[gains.argmax()]] = True
    return np.zeros(len(text), bool)


def _omission_gains(frames: Frames, text: Sequence[ReferenceWord]) -> NDArray[np.float64]:
    words = np.repeat(np.arange(len(text)), [len(word.phones) for word in text])
    return find_miscues(align(frames.log_posteriors, phone_numbers(text)), words).omitted


def _refusal(evidence: Evidence) -> Refusal | None:
    if evidence.utterance["heard_phones"] < _FEWEST_HEARD:
        return Refusal.NO_SPEECH
    return Refusal.OTHER_TEXT if evidence.utterance["free_per_phone"] > OTHER_TEXT else None


def _assessment(utterance: _Utterance, inserted: Sequence[Insertion]) -> AssessmentResult:
    accuracy, fluency, prosody, total = (10 * float(it) for it in utterance.scores.utterance)
    confidence = 1 - max(0.0, utterance.evidence.utterance["free_per_phone"]) / OTHER_TEXT
    return AssessmentResult(
        confidence=round(confidence, 3),
        accuracy=round(accuracy, 1),
        fluency=round(fluency, 1),
        prosody=round(prosody, 1),
        completeness=round(100 * float(1 - utterance.omitted.mean()), 1),
        total=round(total, 1),
        words=tuple(_words(utterance, inserted)),
    )


def _words(utterance: _Utterance, inserted: Sequence[Insertion]) -> Iterator[WordResult]:
    """Yield words and insertions in order; an omitted word lies where the one before ended."""
    extra = {insertion.word: _inserted(utterance, insertion) for insertion in inserted}
    said, end = 0, utterance.start
    for word, omitted in zip(utterance.text, utterance.omitted, strict=True):
        if omitted:
            yield WordResult(word.text, end, end, Miscue.OMISSION)
            continue
        if said in extra:
            yield extra[said]
        result = _word(utterance, said, word)
        said, end = said + 1, result.end
        yield result
    if said in extra:
        yield extra[said]


def _inserted(utterance: _Utterance, insertion: Insertion) -> WordResult:
    sounds = "".join(IPA[PHONES[sound]] for sound in insertion.sounds)
    start, end = utterance.seconds(insertion.start), utterance.seconds(insertion.end)
    return WordResult(sounds, start, end, Miscue.INSERTION)


def _word(utterance: _Utterance, number: int, word: ReferenceWord) -> WordResult:
    at = np.flatnonzero(utterance.evidence.words == number)
    phones = tuple(_phone(utterance, int(phone)) for phone in at)
    wrong = any(phone.score < MISPRONOUNCED for phone in phones)
    miscue = Miscue.MISPRONUNCIATION if wrong else Miscue.NONE
    accuracy = round(10 * float(utterance.scores.words[number, 0]), 1)
    return WordResult(word.text, phones[0].start, phones[-1].end, miscue, accuracy, phones)


def _phone(utterance: _Utterance, at: int) -> PhoneResult:
    evidence = utterance.evidence
    rival = int(evidence.columns["rival"][at])
    own = float(np.exp(evidence.columns["own"][at]))
    return PhoneResult(
        PHONES[evidence.phones[at]],
        utterance.seconds(evidence.starts[at]),
        utterance.seconds(evidence.ends[at] + 1),
        round(50 * float(utterance.scores.phones[at]), 1),
        round(own, 3),
        PHONES[rival] if rival < len(PHONES) else None,
        round(float(np.exp(evidence.columns[f"posterior_{rival}"][at])), 3),
        round(float(utterance.substitutions[at]), 3),
    )
