"""Measurements of a split of the corpus, cached on disk because they take minutes."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from loqua_speech.audio import Samples
from loqua_speech.pronunciation.acoustics import normalise
from loqua_speech.pronunciation.alignment import align
from loqua_speech.pronunciation.evidence import Evidence, measure, phone_numbers
from loqua_speech.pronunciation.network import PhoneNetwork
from training.pronunciation.corpus import CorpusUtterance, read_labels

__all__ = ["Example", "measure_samples", "measure_split", "measure_utterance"]


@dataclass(frozen=True, slots=True)
class Example:
    """An utterance and its measurements."""

    utterance: CorpusUtterance
    evidence: Evidence


def measure_split(corpus: Path, labels: Path, split: str, cache_folder: Path) -> list[Example]:
    """Return a split's examples; the cache must be emptied when measurements change."""
    cached = cache_folder / f"{split}.pickle"
    if cached.is_file():
        with cached.open("rb") as file:
            examples: list[Example] = pickle.load(file)  # noqa: S301 written below
        return examples
    with ProcessPoolExecutor() as pool:
        utterances = list(read_labels(labels, split))
        examples = list(pool.map(partial(measure_utterance, corpus), utterances, chunksize=50))
    cache_folder.mkdir(parents=True, exist_ok=True)
    with cached.open("wb") as file:
        pickle.dump(examples, file)
    return examples


def measure_utterance(corpus: Path, utterance: CorpusUtterance) -> Example:
    """Return an utterance with what is measured of it against its text."""
    return measure_samples(utterance.samples(corpus), utterance)


def measure_samples(samples: Samples, utterance: CorpusUtterance) -> Example:
    """Return an utterance with what is measured of other samples in its recording's place."""
    spoken, _ = normalise(samples)
    frames = _network().listen(spoken)
    alignment = align(frames.log_posteriors, phone_numbers(utterance.text))
    return Example(utterance, measure(spoken, frames, alignment, utterance.text))


@cache
def _network() -> PhoneNetwork:
    return PhoneNetwork.packaged()
