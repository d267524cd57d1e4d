"""The corpus: recordings with text, speaker and experts' scores."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from loqua_speech.audio import Samples, decode
from loqua_speech.pronunciation.head import UTTERANCE_SCORES
from loqua_speech.pronunciation.lexicon import ReferenceWord

__all__ = ["CorpusUtterance", "read_labels"]

_NAMES = {"prosody": "prosodic"}  # the labels' names where they differ from the head's


@dataclass(frozen=True, slots=True)
class CorpusUtterance:
    """One recording and its scores.

    Attributes:
        name: The corpus's id.
        split: "train" or "test", as the corpus was published.
        speaker: The corpus's id of the speaker.
        age: In years.
        file: The recording, relative to the corpus's folder.
        text: The words that were to be read.
        phones: Mean of the experts' scores, 0 to 2, one a phone; NaN where there is none.
        words: Scores 0 to 10, words by `WORD_SCORES`.
        scores: Scores 0 to 10, by `UTTERANCE_SCORES`.
        means: Of the experts' scores, where the labels have each one's; `scores` are the integer
            parts of their medians. Trees and regressions are fitted to means.
    """

    name: str
    split: str
    speaker: str
    age: int
    file: str
    text: tuple[ReferenceWord, ...]
    phones: NDArray[np.float64]
    words: NDArray[np.float64]
    scores: NDArray[np.float64]
    means: NDArray[np.float64]

    @classmethod
    def parse(cls, label: dict[str, Any]) -> Self:
        """Return the utterance of one line of labels."""
        words = label["words"]
        names = [_NAMES.get(name, name) for name in UTTERANCE_SCORES]
        phones = np.array([score for word in words for score in word["pacc"]])
        return cls(
            label["id"],
            label["split"],
            label["spk"],
            label["age"],
            label["wav"],
            tuple(ReferenceWord.parse(w["text"], tuple(w["stress_phones"])) for w in words),
            np.where(phones < 0, np.nan, phones),
            np.array([[w["accuracy"], w["stress"], w["total"]] for w in words], float),
            np.array([label[name] for name in names], float),
            np.array([np.mean(label["raters"].get(name, label[name])) for name in names]),
        )

    def samples(self, corpus: Path) -> Samples:
        """Return the recording, mono at 16 kHz."""
        return decode((corpus / self.file).read_bytes())


def read_labels(file: Path, split: str) -> Iterator[CorpusUtterance]:
    """Yield the utterances of a split, in the file's order."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for label in map(json.loads, lines):
            if label["split"] == split:
                yield CorpusUtterance.parse(label)
