"""The trained head: experts' scores from measurements."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from loqua_speech.errors import WeightsError
from loqua_speech.pronunciation.evidence import Evidence
from loqua_speech.pronunciation.inputs import (
    PhoneNorms,
    phone_inputs,
    phone_sequence,
    phone_states,
    read_phone_inputs,
    read_utterance_inputs,
    read_word_inputs,
    utterance_inputs,
    word_inputs,
)
from loqua_speech.pronunciation.reading import RecogniserReading
from loqua_speech.pronunciation.regression import ClassLinear, Kernel, Linear, Quadratic
from loqua_speech.pronunciation.transformer import Transformer
from loqua_speech.pronunciation.trees import Trees

__all__ = [
    "TRANSFORMERS",
    "UTTERANCE_SCORES",
    "WORD_SCORES",
    "Head",
    "ReadingHead",
    "Scores",
    "blend",
]

WORD_SCORES = ("accuracy", "stress", "total")
UTTERANCE_SCORES = ("accuracy", "fluency", "prosody", "total")

TRANSFORMERS = 2
"""They differ by their seeds."""

FloatArray = NDArray[np.float64]

_BEST_PHONE, _BEST = 2.0, 10.0
_REGRESSIONS = ("phone", "states", "word", "utterance", "sound")


@dataclass(frozen=True, slots=True)
class Scores:
    """Predicted scores of experts, on their scales.

    Attributes:
        phones: 0 to 2, one a phone.
        words: 0 to 10, words by `WORD_SCORES`.
        utterance: 0 to 10, by `UTTERANCE_SCORES`.
    """

    phones: FloatArray
    words: FloatArray
    utterance: FloatArray


@dataclass(frozen=True, slots=True)
class ReadingHead:
    """Better scores for texts that a recogniser has read.

    Attributes:
        phone: Corrects the trees' scores of phones.
        states: Predicts a phone's score from the recogniser's states over it.
        word: Predicts `WORD_SCORES`.
        utterance: Predicts `UTTERANCE_SCORES`.
        sound: Predicts `UTTERANCE_SCORES` from the sound alone, whatever its text.
        transformers: Predict all but that; the mean of their scores counts a third.
    """

    phone: Linear
    states: ClassLinear
    word: Kernel
    utterance: Quadratic
    sound: Quadratic
    transformers: tuple[Transformer, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """Trees for phones, words and utterances, and the parts that improve them by a reading.

    Attributes:
        norms: What is usual for each phone.
        phone: Predicts a phone's score.
        words: Predict `WORD_SCORES`.
        utterance: Predict `UTTERANCE_SCORES`.
        reading: Predicts the same scores with a reading.
        substitution: Predicts the log-odds of another sound in a phone's place.
    """

    norms: PhoneNorms
    phone: Trees
    words: tuple[Trees, ...]
    utterance: tuple[Trees, ...]
    reading: ReadingHead
    substitution: Trees

    def substitutions(self, evidence: Evidence) -> FloatArray:
        """Return how likely another sound was said in each phone's place, from 0 to 1."""
        return 1 / (1 + np.exp(-self.substitution.predict(phone_inputs(evidence, self.norms))))

    def score(self, evidence: Evidence, reading: RecogniserReading | None) -> Scores:
        """Return the scores of one utterance.

        Args:
            evidence: What is measured of it.
            reading: How the recogniser of the training read its words, if it is there.
        """
        phones = self.phone.predict(phone_inputs(evidence, self.norms))
        of_words = word_inputs(evidence, phones)
        words = np.stack([trees.predict(of_words) for trees in self.words], axis=1)
        whole = utterance_inputs(evidence, phones, words[:, 0])
        if reading is not None:
            heads = self.reading
            states = phone_states(evidence, reading)
            by_states = heads.states.predict(evidence.phones, states)
            whole = read_utterance_inputs(whole, evidence.words, reading, states, by_states)
            regressed = Scores(
                heads.phone.predict(read_phone_inputs(evidence, phones, reading))[:, 0],
                heads.word.predict(read_word_inputs(of_words, evidence.words, reading, by_states)),
                heads.utterance.predict(whole)[0],
            )
            sequence = phone_sequence(evidence, self.norms, reading)
            transformed = [Scores(*it.predict(sequence)) for it in heads.transformers]
            return _clipped(blend(regressed, by_states, transformed))
        utterance = np.array([trees.predict(whole)[0] for trees in self.utterance])
        return _clipped(Scores(phones, words, utterance))

    def score_free_speech(self, evidence: Evidence, reading: RecogniserReading | None) -> Scores:
        """Return the scores of one utterance whose text is the recogniser's own.

        How likely the recogniser finds that text says nothing: it would not have chosen it
        otherwise. What remains are the trees, averaged with its states over each phone and over
        the whole.

        Args:
            evidence: What is measured of it.
            reading: How the recogniser of the training read its words, if it is there.
        """
        scores = self.score(evidence, None)
        if reading is None:
            return scores
        states = phone_states(evidence, reading)
        by_states = self.reading.states.predict(evidence.phones, states)
        sound = self.reading.sound.predict(reading.sound[None])[0]
        return _clipped(
            replace(
                scores,
                phones=(2 * scores.phones + by_states) / 3,
                utterance=(scores.utterance + sound) / 2,
            )
        )

    def save(self, file: Path) -> None:
        """Write the head as arrays."""
        arrays = {f"norms.{name}": value for name, value in asdict(self.norms).items()}
        for name, trees in self._named().items():
            arrays |= {f"{name}.{part}": value for part, value in asdict(trees).items()}
        for name in _REGRESSIONS:
            regression = asdict(getattr(self.reading, name))
            arrays |= {f"reading.{name}.{part}": value for part, value in regression.items()}
        for number, transformer in enumerate(self.reading.transformers):
            arrays |= {
                f"transformer.{number}.{name}": it for name, it in transformer.weights.items()
            }
        np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, file: IO[bytes] | Path) -> Self:
        """Return a head that was saved."""
        with np.load(file) as arrays:
            return cls(
                PhoneNorms(**{f.name: arrays[f"norms.{f.name}"] for f in fields(PhoneNorms)}),
                _trees(arrays, "phone"),
                tuple(_trees(arrays, f"word.{name}") for name in WORD_SCORES),
                tuple(_trees(arrays, f"utterance.{name}") for name in UTTERANCE_SCORES),
                ReadingHead(
                    Linear(**_fields(arrays, "reading.phone", Linear)),
                    ClassLinear(**_fields(arrays, "reading.states", ClassLinear)),
                    Kernel(**_fields(arrays, "reading.word", Kernel)),
                    Quadratic(**_fields(arrays, "reading.utterance", Quadratic)),
                    Quadratic(**_fields(arrays, "reading.sound", Quadratic)),
                    tuple(_transformers(arrays)),
                ),
                _trees(arrays, "substitution"),
            )

    @classmethod
    def packaged(cls) -> Self:
        """Return the head that the package ships.

        Raises:
            WeightsError: If it is missing.
        """
        try:
            with files(__package__).joinpath("english.npz").open("rb") as file:
                return cls.load(file)
        except (FileNotFoundError, KeyError, ValueError) as error:
            raise WeightsError(
                f"the pronunciation head english.npz is missing or damaged ({error}):"
                " reinstall loqua-speech"
            ) from error

    def _named(self) -> dict[str, Trees]:
        words = zip(WORD_SCORES, self.words, strict=True)
        utterance = zip(UTTERANCE_SCORES, self.utterance, strict=True)
        return {
            "phone": self.phone,
            "substitution": self.substitution,
            **{f"word.{name}": trees for name, trees in words},
            **{f"utterance.{name}": trees for name, trees in utterance},
        }


def blend(regressed: Scores, by_states: FloatArray, transformed: Sequence[Scores]) -> Scores:
    """Return two thirds of the regressions' scores and one of the transformers' mean.

    Args:
        regressed: By regressions on what is measured and read.
        by_states: The phones' scores by the recogniser's states over each, by a regression as well.
        transformed: By each transformer.
    """
    both = replace(regressed, phones=(regressed.phones + by_states) / 2)
    phones, words, utterance = (
        (2 * getattr(both, name) + np.mean([getattr(it, name) for it in transformed], axis=0)) / 3
        for name in ("phones", "words", "utterance")
    )
    return Scores(phones, words, utterance)


def _transformers(arrays: "np.lib.npyio.NpzFile") -> Iterator[Transformer]:
    for number in range(TRANSFORMERS):
        start = f"transformer.{number}."
        names = [name for name in arrays.files if name.startswith(start)]
        yield Transformer({it.removeprefix(start): arrays[it] for it in names})


def _trees(arrays: "np.lib.npyio.NpzFile", name: str) -> Trees:
    return Trees(**_fields(arrays, name, Trees))


def _fields(
    arrays: "np.lib.npyio.NpzFile",
    name: str,
    of: type[Trees | Linear | Quadratic | ClassLinear | Kernel],
) -> dict[str, Any]:
    return {field.name: arrays[f"{name}.{field.name}"] for field in fields(of)}


def _clipped(scores: Scores) -> Scores:
    return Scores(
        scores.phones.clip(0, _BEST_PHONE),
        scores.words.clip(0, _BEST),
        scores.utterance.clip(0, _BEST),
    )
