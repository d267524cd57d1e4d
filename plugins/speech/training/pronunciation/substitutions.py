"""Substituted sounds: correct recordings with a changed text.

Few recordings have one wrong sound in fluent speech, and experts do not say what they heard. A well
said "sink" is a "think" whose first sound was replaced.
"""

import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from loqua_speech.pronunciation.evidence import Evidence
from loqua_speech.pronunciation.lexicon import ReferenceWord
from training.pronunciation.corpus import CorpusUtterance, read_labels
from training.pronunciation.measuring import measure_utterance

__all__ = ["Substitution", "measure_substitutions"]

_CONFUSED = {
    "AA": "AH",
    "AE": "EH",
    "AH": "AA",
    "AO": "OW",
    "B": "P V",
    "CH": "SH",
    "D": "T DH",
    "DH": "D Z",
    "EH": "AE IH",
    "ER": "AH",
    "EY": "EH",
    "F": "P",
    "G": "K",
    "HH": "F",
    "IH": "IY EH",
    "IY": "IH",
    "JH": "CH",
    "K": "G",
    "L": "R N",
    "M": "N",
    "N": "NG L",
    "NG": "N",
    "OW": "AO",
    "P": "B",
    "R": "L",
    "S": "Z TH",
    "SH": "S CH",
    "T": "D",
    "TH": "S T F",
    "UH": "UW",
    "UW": "UH",
    "V": "W F B",
    "W": "V",
    "Z": "S",
}
"""What learners say, after what they were to say."""

_WELL_SAID, _WELL_SAID_PHONE = 8, 1.5
"""Lowest scores of an utterance, of 10, and of its phones, of 2, whose text is changed."""
_OF_EACH = 3
"""Changed texts of one recording."""


@dataclass(frozen=True, slots=True)
class Substitution:
    """A recording whose text has another sound than the spoken one.

    Attributes:
        speaker: The corpus's id.
        evidence: Measured against the changed text.
        phone: The number of the sound.
    """

    speaker: str
    evidence: Evidence
    phone: int


@dataclass(frozen=True, slots=True)
class _Place:
    """A phone of a text, and its replacement."""

    word: int
    phone: int
    becomes: str


def measure_substitutions(corpus: Path, labels: Path, cache_folder: Path) -> list[Substitution]:
    """Return substitutions of TRAIN, rare ones as often as frequent ones.

    The cache must be emptied when measurements change.
    """
    cached = cache_folder / "train.substitutions.pickle"
    if cached.is_file():
        with cached.open("rb") as file:
            known: list[Substitution] = pickle.load(file)  # noqa: S301 written below
        return known
    chosen = list(_chosen(list(read_labels(labels, "train"))))
    with ProcessPoolExecutor() as pool:
        measured = list(pool.map(partial(_measured, corpus), *zip(*chosen, strict=True)))
    with cached.open("wb") as file:
        pickle.dump(measured, file)
    return measured


def _chosen(utterances: Sequence[CorpusUtterance]) -> Iterator[tuple[CorpusUtterance, _Place]]:
    generator, seen = np.random.default_rng(5), Counter[tuple[str, str]]()
    for utterance in utterances:
        if utterance.scores[-1] < _WELL_SAID or np.nanmin(utterance.phones) < _WELL_SAID_PHONE:
            continue
        places = list(_places(utterance.text))
        generator.shuffle(places)  # type: ignore[arg-type]  # a list is a sequence
        places.sort(key=lambda it: seen[_pair(utterance, it)])
        for place in places[:_OF_EACH]:
            seen[_pair(utterance, place)] += 1
            yield utterance, place


def _places(text: Sequence[ReferenceWord]) -> Iterator[_Place]:
    for number, word in enumerate(text):
        for at, said in enumerate(word.phones):
            for expected, confused in _CONFUSED.items():
                if said in confused.split():
                    yield _Place(number, at, expected)


def _pair(utterance: CorpusUtterance, place: _Place) -> tuple[str, str]:
    return place.becomes, utterance.text[place.word].phones[place.phone]


def _measured(corpus: Path, utterance: CorpusUtterance, place: _Place) -> Substitution:
    text = list(utterance.text)
    word = text[place.word]
    phones = (*word.phones[: place.phone], place.becomes, *word.phones[place.phone + 1 :])
    text[place.word] = replace(word, phones=phones)
    example = measure_utterance(corpus, replace(utterance, text=tuple(text)))
    before = sum(len(it.phones) for it in text[: place.word])
    return Substitution(utterance.speaker, example.evidence, before + place.phone)
