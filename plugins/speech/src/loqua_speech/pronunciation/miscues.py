"""Omitted words and inserted sounds, by likelihood ratios along the alignment."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from loqua_speech.pronunciation.alignment import NEVER, Alignment
from loqua_speech.pronunciation.phones import OTHER, IntArray

__all__ = ["Insertion", "Miscues", "find_miscues"]

FloatArray = NDArray[np.float64]

OMITTED = 10.0
"""Nats by which the text is likelier without the word."""
INSERTED = 14.0
"""Nats by which the text is likelier with free sounds between two words."""
_FEWEST_SOUNDS = 3


@dataclass(frozen=True, slots=True)
class Insertion:
    """Sounds before a word, or after the last.

    Attributes:
        word: Number of the word.
        start: First frame.
        end: Frame after the last.
        sounds: Classes of the phones heard.
    """

    word: int
    start: int
    end: int
    sounds: IntArray


@dataclass(frozen=True, slots=True)
class Miscues:
    """The differences between the spoken words and the text.

    Attributes:
        omitted: The gain of leaving each word out, in nats.
        inserted: The sounds between words that gain more than `INSERTED`.
    """

    omitted: FloatArray
    inserted: tuple[Insertion, ...]


def find_miscues(alignment: Alignment, words: IntArray) -> Miscues:
    """Return the miscues; `words` says which word each phone belongs to."""
    bounds = np.append(0, np.cumsum(np.bincount(words)))
    free = np.append(0, np.cumsum(alignment.log_posteriors.max(axis=1)))
    omitted = [_omission_gain(alignment, first, after) for first, after in pairwise(bounds)]
    inserted = [_insertion(alignment, free, word, at) for word, at in enumerate(bounds)]
    return Miscues(np.array(omitted), tuple(found for found in inserted if found))


def _omission_gain(alignment: Alignment, first: int, after: int) -> float:
    """Return the gain of a text without the phones from `first` to before `after`."""
    count = len(alignment.phones)
    if after - first == count:
        return NEVER
    following = np.full(len(alignment.path) + 1, NEVER)
    if after < count:
        following[:-1] = alignment.backward[:, 2 * after + 1]
    else:
        following[-1] = 0
    return float(np.max(_before(alignment, first) + following) - alignment.likelihood)


def _insertion(alignment: Alignment, free: FloatArray, word: int, at: int) -> Insertion | None:
    """Return the free sounds before phone `at`, if they gain enough."""
    lead = _before(alignment, at) - free
    gain = np.maximum.accumulate(lead) + _from(alignment, at) + free
    end = int(gain.argmax())
    start = int(lead[: end + 1].argmax())
    heard = alignment.log_posteriors[start:end].argmax(axis=1)
    sounds = heard[np.append(True, heard[1:] != heard[:-1])] if len(heard) else heard
    sounds = sounds[sounds < OTHER]
    enough = gain[end] - alignment.likelihood > INSERTED and len(sounds) >= _FEWEST_SOUNDS
    return Insertion(word, start, end, sounds) if enough else None


def _before(alignment: Alignment, phone: int) -> FloatArray:
    """Return the log-likelihood of all phones before one, by number of frames used."""
    reached = np.full(len(alignment.path) + 1, NEVER)
    if phone == 0:
        reached[0] = 0
        reached[1:] = alignment.forward[:, 0]
    else:
        ends = alignment.forward[:, [2 * phone - 1, 2 * phone]]
        reached[1:] = np.logaddexp(ends[:, 0], ends[:, 1])
    return reached


def _from(alignment: Alignment, phone: int) -> FloatArray:
    """Return the log-likelihood of all phones from one on, by number of frames used before."""
    rest = np.full(len(alignment.path) + 1, NEVER)
    if phone >= len(alignment.phones):
        rest[-1] = 0
        rest[:-1] = alignment.backward[:, -1]
    else:
        starts = alignment.backward[:, [2 * phone, 2 * phone + 1]]
        rest[:-1] = np.logaddexp(starts[:, 0], starts[:, 1])
    return rest
