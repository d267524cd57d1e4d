"""The choice between the likeliest transcripts by the audio alone.

Whisper knows how people write and repairs what learners say: "two cat" becomes "two cats". The
phone network (`pronunciation.network`) knows no language. Where two likely texts differ by an
ending or a little word only, it decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import takewhile
from operator import eq

import numpy as np
from numpy.typing import NDArray

from loqua_speech.audio import HEARING_RATE
from loqua_speech.pronunciation.acoustics import normalise
from loqua_speech.pronunciation.alignment import align
from loqua_speech.pronunciation.evidence import phone_numbers
from loqua_speech.pronunciation.lexicon import PronunciationLexicon, split_words
from loqua_speech.pronunciation.network import PhoneNetwork

__all__ = ["Hypothesis", "Rescorer", "is_small_change"]

LANGUAGE = "en"
"""The language whose words' pronunciation is known."""

LEAST_GAIN = 2.0
"""Nats by which the sound must fit the less likely text better. With less, right sentences
become wrong."""

MOST_UNLIKELY = 6.0
"""Nats by which Whisper may find it less likely."""

_LITTLE_WORDS = frozenset(
    {
        *("a", "an", "the", "to", "of", "in", "is", "am", "are", "was", "were", "be", "been"),
        *("has", "have", "had", "do", "does", "did"),
    }
)
_ENDINGS = frozenset({"", "'s", "d", "e", "ed", "es", "ied", "ies", "ing", "s", "y"})
_SHORTEST_STEM = 2
_SHORTEST_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A transcript that Whisper finds likely.

    Attributes:
        text: The text.
        tokens: Whisper's tokens of it.
        log_probability: Of the whole text.
    """

    text: str
    tokens: tuple[int, ...]
    log_probability: float


@dataclass(frozen=True, slots=True)
class Rescorer:
    """Choose between likely transcripts.

    Attributes:
        network: Hears phones.
        lexicon: Knows how words are pronounced.
    """

    network: PhoneNetwork
    lexicon: PronunciationLexicon

    def choose(
        self, samples: NDArray[np.float32], language: str, likeliest: Sequence[Hypothesis]
    ) -> Hypothesis:
        """Return the text that was said.

        Args:
            samples: Mono at 16 kHz.
            language: ISO 639-1 code of the texts.
            likeliest: The texts, the likeliest first.
        """
        first = likeliest[0]
        rivals = [it for it in likeliest[1:] if _is_rival(it, first)]
        is_sound = len(samples) >= _SHORTEST_SECONDS * HEARING_RATE and samples.any()
        if language != LANGUAGE or not rivals or not is_sound:
            return first
        spoken, _ = normalise(samples)
        heard = self.network.listen(spoken).log_posteriors
        fits = [self._fit(heard, it.text) for it in (first, *rivals)]
        best = int(np.argmax(fits))
        return rivals[best - 1] if fits[best] - fits[0] >= LEAST_GAIN else first

    def _fit(self, heard: NDArray[np.float64], text: str) -> float:
        """Return the log-likelihood of a text's phones."""
        words = self.lexicon.pronounce(text)
        if not words or not all(word.phones for word in words):
            return -np.inf
        return align(heard, phone_numbers(words)).likelihood


def _is_rival(other: Hypothesis, first: Hypothesis) -> bool:
    is_likely = first.log_probability - other.log_probability <= MOST_UNLIKELY
    return is_likely and is_small_change(first.text, other.text)


def is_small_change(text: str, other: str) -> bool:
    """Return whether two texts differ in endings and little words only."""
    words, others = (list(split_words(it.lower())) for it in (text, other))
    edits = SequenceMatcher(None, words, others, autojunk=False).get_opcodes()
    return words != others and all(
        kind == "equal" or _is_small(words[start:end], others[first:last])
        for kind, start, end, first, last in edits
    )


def _is_small(words: list[str], others: list[str]) -> bool:
    if len(words) != len(others):
        return _LITTLE_WORDS.issuperset((*words, *others))
    return all(map(_are_forms, words, others))


def _are_forms(word: str, other: str) -> bool:
    """Return whether two words may be forms of one."""
    if {word, other} <= _LITTLE_WORDS:
        return True
    stem = sum(takewhile(bool, map(eq, word, other)))
    return stem >= _SHORTEST_STEM and {word[stem:], other[stem:]} <= _ENDINGS
