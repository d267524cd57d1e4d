"""The results of the scorer for an utterance."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["AssessmentResult", "Miscue", "PhoneResult", "Refusal", "WordResult"]


class Refusal(StrEnum):
    """The reason why there is no score."""

    NO_SPEECH = "no_speech"
    TOO_QUIET = "too_quiet"
    OTHER_TEXT = "other_text"
    OTHER_LANGUAGE = "other_language"


class Miscue(StrEnum):
    """The kind of mistake in a word, in Azure's terms."""

    NONE = "None"
    MISPRONUNCIATION = "Mispronunciation"
    OMISSION = "Omission"
    INSERTION = "Insertion"


@dataclass(frozen=True, slots=True)
class PhoneResult:
    """One phone of the text.

    Attributes:
        phone: In ARPAbet, without stress.
        start: Seconds from the beginning of the audio.
        end: Likewise.
        score: What experts would give, 0 to 100; below `MISPRONOUNCED` it counts as wrong.
        probability: How likely this phone was said rather than another.
        rival: The likeliest other phone; None for another sound, or none at all.
        rival_probability: How likely that was said.
        substitution: How likely another sound was said in its place, from 0 to 1.
    """

    phone: str
    start: float
    end: float
    score: float
    probability: float
    rival: str | None
    rival_probability: float
    substitution: float


@dataclass(frozen=True, slots=True)
class WordResult:
    """One word of the text, or a spoken word that the text does not have.

    Attributes:
        text: The word as the text writes it; of an insertion, its sounds in IPA.
        start: Seconds from the beginning of the audio.
        end: Likewise.
        miscue: What is wrong with it.
        accuracy: 0 to 100; None if it was left out, inserted, or not surely recognised.
        phones: Its phones; none where there is no accuracy.
    """

    text: str
    start: float
    end: float
    miscue: Miscue
    accuracy: float | None = None
    phones: tuple[PhoneResult, ...] = ()


@dataclass(frozen=True, slots=True)
class AssessmentResult:
    """The result for a text; scores are 0 to 100.

    Attributes:
        confidence: From 1, if the text fits the sound as well as any sounds could, to 0, where
            it would be taken for another text.
        accuracy: Of the sounds.
        fluency: Of pauses and pace.
        prosody: Of stress and melody.
        completeness: Share of the text's words that were said; None of free speech.
        total: Of everything.
        words: The text's words and the insertions, in order.
    """

    confidence: float
    accuracy: float
    fluency: float
    prosody: float
    completeness: float | None
    total: float
    words: tuple[WordResult, ...]
