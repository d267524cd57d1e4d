"""Likelihoods along the frames, compared with a sum over every path."""

from itertools import groupby, product

import numpy as np
import pytest
from numpy.typing import NDArray

from loqua_speech.pronunciation.alignment import align, replacement_likelihoods
from loqua_speech.pronunciation.phones import BLANK, CLASSES

FRAMES = 7


@pytest.fixture
def frames() -> NDArray[np.float64]:
    """Return frames in which only blank and the first three phones are likely."""
    mass = np.random.default_rng(4).random((FRAMES, CLASSES))
    mass[:, 3:BLANK] = 1e-300
    return np.asarray(np.log(mass / mass.sum(axis=1, keepdims=True)))


def likelihood(frames: NDArray[np.float64], phones: list[int]) -> float:
    """Return the sum over all paths that spell the phones."""
    paths = product([0, 1, 2, BLANK], repeat=FRAMES)
    spelled = [path for path in paths if _spelling(path) == phones]
    scores = [sum(frames[at, label] for at, label in enumerate(path)) for path in spelled]
    return float(np.logaddexp.reduce(scores))


def _spelling(path: tuple[int, ...]) -> list[int]:
    return [label for label, _ in groupby(path) if label != BLANK]


@pytest.mark.parametrize(
    "phones",
    [[0], [0, 1], [1, 1], [0, 1, 0], [2, 2, 1]],
    ids=["one", "two", "twice the same", "three", "twice the same of three"],
)
def test_likelihoods_are_those_of_all_paths(frames: NDArray[np.float64], phones: list[int]) -> None:
    """Of the text, with each phone replaced, and with each left out."""
    alignment = align(frames, np.array(phones))
    replaced = replacement_likelihoods(alignment)

    assert alignment.likelihood == pytest.approx(likelihood(frames, phones))
    for at in range(len(phones)):
        before, after = phones[:at], phones[at + 1 :]
        for other in range(3):
            expected = likelihood(frames, [*before, other, *after])
            assert replaced[at, other] == pytest.approx(expected)
        assert replaced[at, -1] == pytest.approx(likelihood(frames, [*before, *after]))


def test_the_best_path_says_every_phone(frames: NDArray[np.float64]) -> None:
    """Phones are states 1, 3, 5."""
    path = align(frames, np.array([0, 1, 0])).path

    assert {1, 3, 5} <= set(path)
    assert list(path) == sorted(path)


def test_too_little_sound_is_aligned_too(frames: NDArray[np.float64]) -> None:
    """The phones that do not fit fall behind its end."""
    alignment = align(frames[:2], np.array([0, 1, 2, 0]))

    assert np.isfinite(alignment.likelihood)
    assert {1, 3, 5, 7} <= set(alignment.path)
