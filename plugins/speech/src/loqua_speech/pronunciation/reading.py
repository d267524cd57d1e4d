"""A speech recogniser's likelihoods of a given text, which may differ from its transcript."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loqua_speech.audio import Samples

__all__ = ["Reader", "RecogniserReading"]


@dataclass(frozen=True, slots=True)
class RecogniserReading:
    """A recogniser's reading of a text in a piece of audio.

    Attributes:
        words: Log-probabilities of each word's tokens, after those before: their sum, mean, lowest
            and first; one row a word.
        states: The encoder's states over the sound, one row every 20 ms.
    """

    words: NDArray[np.float64]
    states: NDArray[np.float16]

    @property
    def sound(self) -> NDArray[np.float32]:
        """The means of the states over the sound, then their standard deviations."""
        states = self.states.astype(np.float32)
        return np.concatenate([states.mean(axis=0), states.std(axis=0)])


Reader = Callable[[Samples, Sequence[str]], RecogniserReading | None]
"""Returns the reading of words in normalised sound at 16 kHz, or None where it cannot read them."""
