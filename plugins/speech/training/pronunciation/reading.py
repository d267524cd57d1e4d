"""Whisper's readings of a split's texts, cached on disk because they take minutes."""

import pickle
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from loqua_speech.audio import Samples
from loqua_speech.pronunciation.acoustics import normalise
from loqua_speech.pronunciation.head import Head, Scores
from loqua_speech.pronunciation.lexicon import ReferenceWord
from loqua_speech.pronunciation.reading import RecogniserReading
from loqua_speech.recognition import Whisper
from loqua_speech.weights import packaged_weights
from training.pronunciation.corpus import CorpusUtterance, read_labels
from training.pronunciation.measuring import measure_samples

__all__ = ["read_samples", "read_split", "score_samples", "whisper"]


def read_split(
    corpus: Path, labels: Path, split: str, cache_folder: Path
) -> list[RecogniserReading]:
    """Return the readings of a split's utterances, in its order.

    The cache must be emptied when readings change.
    """
    cached = cache_folder / f"{split}.readings.pickle"
    if cached.is_file():
        with cached.open("rb") as file:
            known: list[RecogniserReading] = pickle.load(file)  # noqa: S301 written below
        return known
    utterances = read_labels(labels, split)
    readings = [read_samples(it.samples(corpus), it.text) for it in utterances]
    cache_folder.mkdir(parents=True, exist_ok=True)
    with cached.open("wb") as file:
        pickle.dump(readings, file)
    return readings


def score_samples(head: Head, samples: Samples, utterance: CorpusUtterance) -> Scores:
    """Return the scores of samples in an utterance's recording's place."""
    evidence = measure_samples(samples, utterance).evidence
    return head.score(evidence, read_samples(samples, utterance.text))


def read_samples(samples: Samples, text: Sequence[ReferenceWord]) -> RecogniserReading:
    """Return how Whisper reads a text in samples."""
    reading = whisper().read(normalise(samples)[0], [word.text for word in text])
    assert reading is not None  # noqa: S101 the corpus has sentences
    return reading


@cache
def whisper() -> Whisper:
    """Return the packaged model, loaded once."""
    with packaged_weights() as weights:
        return Whisper(weights, threads=1)
