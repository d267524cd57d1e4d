"""Pronunciation of free speech, with the recogniser's transcript as the text.

The recogniser writes what it takes a learner to have meant, which may not be what was said. Only
words that it is sure of are scored.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loqua_speech.pronunciation.lexicon import split_words
from loqua_speech.pronunciation.results import AssessmentResult, Miscue, Refusal, WordResult
from loqua_speech.pronunciation.scorer import Scorer
from loqua_speech.recognition import TimedWord

__all__ = ["SURE_WORD", "SpokenWord", "score_free_speech", "spoken_words"]

SURE_WORD = 0.9
"""Probability of a word from which on it is scored: on TRAIN, 95 % of those words were read there,
and 57 % of the words that were recognised rightly are among them."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A recognised word.

    Attributes:
        text: Without punctuation.
        probability: How sure the recogniser is of it, from 0 to 1.
    """

    text: str
    probability: float


def spoken_words(recognised: Iterable[TimedWord]) -> Iterator[SpokenWord]:
    """Yield the words as the lexicon looks them up: "twenty-one" is two."""
    for word in recognised:
        for part in split_words(word.text):
            yield SpokenWord(part, word.probability)


def score_free_speech(
    scorer: Scorer, samples: NDArray[np.float32], heard: Sequence[SpokenWord], language: str
) -> AssessmentResult | Refusal:
    """Return the assessment of free speech.

    Words that the recogniser is not sure of have no scores, and what fits no word is left out. The
    confidence is the known text's, times the mean of the recogniser's.

    Args:
        scorer: Scores a known text.
        samples: Mono at 16 kHz.
        heard: The recogniser's words; those without a known pronunciation are left out.
        language: A language tag such as "en".

    Raises:
        UnknownLanguageError: The language cannot be scored.
        UnscorableTextError: There are too many words.
    """
    known = [word for word in heard if all(it.phones for it in scorer.lexicon.pronounce(word.text))]
    if not known:
        return Refusal.NO_SPEECH
    text = scorer.reference(" ".join(word.text for word in known), language)
    result = scorer.score(samples, text, free_speech=True)
    return result if isinstance(result, Refusal) else _robust(result, known)


def _robust(result: AssessmentResult, heard: Sequence[SpokenWord]) -> AssessmentResult:
    sure = float(np.mean([word.probability for word in heard]))
    own = (word for word in result.words if word.miscue is not Miscue.INSERTION)
    words = (
        word if spoken.probability >= SURE_WORD else _unscored(word)
        for word, spoken in zip(own, heard, strict=True)
        if word.miscue is not Miscue.OMISSION
    )
    return replace(
        result,
        confidence=round(result.confidence * sure, 3),
        completeness=None,
        words=tuple(words),
    )


def _unscored(word: WordResult) -> WordResult:
    return replace(word, miscue=Miscue.NONE, accuracy=None, phones=())
