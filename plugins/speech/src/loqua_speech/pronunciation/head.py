"""The trained head: experts' scores from measurements."""

from dataclasses import asdict, dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

from loqua_speech.errors import WeightsError
from loqua_speech.pronunciation.evidence import Evidence
from loqua_speech.pronunciation.inputs import (
    PhoneNorms,
    phone_inputs,
    utterance_inputs,
    word_inputs,
)
from loqua_speech.pronunciation.trees import Trees

__all__ = ["UTTERANCE_SCORES", "WORD_SCORES", "Head", "Scores"]

WORD_SCORES = ("accuracy", "stress", "total")
UTTERANCE_SCORES = ("accuracy", "fluency", "prosody", "total")

_BEST_PHONE, _BEST = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class Scores:
    """What experts would say, in their scales.

    Attributes:
        phones: 0 to 2, one a phone.
        words: 0 to 10, words by `WORD_SCORES`.
        utterance: 0 to 10, by `UTTERANCE_SCORES`.
    """

    phones: NDArray[np.float64]
    words: NDArray[np.float64]
    utterance: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Head:
    """Trees for phones, words and utterances.

    Attributes:
        norms: What is usual for each phone.
        phone: Predicts a phone's score.
        words: Predict `WORD_SCORES`.
        utterance: Predict `UTTERANCE_SCORES`.
    """

    norms: PhoneNorms
    phone: Trees
    words: tuple[Trees, ...]
    utterance: tuple[Trees, ...]

    def score(self, evidence: Evidence) -> Scores:
        """Return the scores of one utterance."""
        phones = self.phone.predict(phone_inputs(evidence, self.norms))
        seen = word_inputs(evidence, phones)
        words = np.stack([trees.predict(seen) for trees in self.words], axis=1)
        seen = utterance_inputs(evidence, phones, words[:, 0])
        utterance = np.array([trees.predict(seen)[0] for trees in self.utterance])
        return Scores(
            np.clip(phones, 0, _BEST_PHONE), np.clip(words, 0, _BEST), np.clip(utterance, 0, _BEST)
        )

    def save(self, file: Path) -> None:
        """Write the head as arrays."""
        arrays = {f"norms.{name}": value for name, value in asdict(self.norms).items()}
        for name, trees in self._named().items():
            arrays |= {f"{name}.{part}": value for part, value in asdict(trees).items()}
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
            **{f"word.{name}": trees for name, trees in words},
            **{f"utterance.{name}": trees for name, trees in utterance},
        }


def _trees(arrays: "np.lib.npyio.NpzFile", name: str) -> Trees:
    return Trees(**{field.name: arrays[f"{name}.{field.name}"] for field in fields(Trees)})
