"""The head fitted to examples, each stage on predictions for speakers that it has not seen."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loqua_speech.pronunciation.head import Head, Scores
from loqua_speech.pronunciation.inputs import (
    PhoneNorms,
    phone_inputs,
    utterance_inputs,
    word_inputs,
)
from loqua_speech.pronunciation.phones import PHONES
from loqua_speech.pronunciation.trees import Trees
from training.pronunciation.boosting import PHONE, UTTERANCE, WORD, Boosting, fit_trees
from training.pronunciation.measuring import Example

__all__ = ["FOLDS", "cross_validate", "fit_head"]

FOLDS = 4
_PRIOR_COUNT, _PRIOR_SCORE, _PRIOR_DEVIATION = 5, 1.85, 0.3

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Stages:
    """Inputs, targets and out-of-fold predictions of all three stages.

    Rows of all examples are stacked; `of_*` says which example a row belongs to.
    """

    norms: PhoneNorms
    phone_rows: NDArray[np.float32]
    phones: FloatArray
    word_rows: NDArray[np.float32]
    words: FloatArray
    utterance_rows: NDArray[np.float32]
    utterances: FloatArray


def cross_validate(examples: Sequence[Example]) -> list[Scores]:
    """Return the scores of each example by heads that have not heard its speaker."""
    stages = _stages(examples)
    phones = _split(stages.phones, _owners(examples, "phones"))
    words = _split(stages.words, _owners(examples, "words"))
    return [Scores(*parts) for parts in zip(phones, words, stages.utterances, strict=True)]


def fit_head(examples: Sequence[Example]) -> Head:
    """Return the head fitted to all examples."""
    stages = _stages(examples)
    words = np.concatenate([example.utterance.words for example in examples])
    scores = np.stack([example.utterance.scores for example in examples])
    return Head(
        stages.norms,
        fit_trees(stages.phone_rows, _phone_targets(examples), PHONE),
        tuple(fit_trees(stages.word_rows, target, WORD) for target in words.T),
        tuple(fit_trees(stages.utterance_rows, target, UTTERANCE) for target in scores.T),
    )


def _stages(examples: Sequence[Example]) -> _Stages:
    folds = _folds(examples)
    norms = _norms(examples)
    phone_rows = _rows(examples, lambda at: phone_inputs(examples[at].evidence, norms))
    of_phone = _owners(examples, "phones")
    phones = _out_of_fold(phone_rows, _phone_targets(examples)[:, None], folds[of_phone], PHONE)[
        :, 0
    ]
    phone_parts = _split(phones, of_phone)
    word_rows = _rows(examples, lambda at: word_inputs(examples[at].evidence, phone_parts[at]))
    of_word = _owners(examples, "words")
    word_targets = np.concatenate([example.utterance.words for example in examples])
    words = _out_of_fold(word_rows, word_targets, folds[of_word], WORD)
    accuracy = _split(words[:, 0], of_word)
    utterance_rows = _rows(
        examples, lambda at: utterance_inputs(examples[at].evidence, phone_parts[at], accuracy[at])
    )
    targets = np.stack([example.utterance.scores for example in examples])
    utterances = _out_of_fold(utterance_rows, targets, folds, UTTERANCE)
    return _Stages(norms, phone_rows, phones, word_rows, words, utterance_rows, utterances)


def _folds(examples: Sequence[Example]) -> NDArray[np.int64]:
    """Return each example's fold; all of a speaker are in one."""
    speakers = sorted({example.utterance.speaker for example in examples})
    shuffled = np.random.default_rng(1).permutation(len(speakers))
    fold = {speaker: int(at) % FOLDS for speaker, at in zip(speakers, shuffled, strict=True)}
    return np.array([fold[example.utterance.speaker] for example in examples])


def _out_of_fold(
    rows: NDArray[np.float32], targets: FloatArray, folds: NDArray[np.int64], how: Boosting
) -> FloatArray:
    predicted = np.zeros(targets.shape)

    def fit(fold: int, column: int) -> None:
        held = folds == fold
        trees = fit_trees(rows[~held], targets[~held, column], how)
        predicted[held, column] = _predict(trees, rows[held])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fit, *zip(*product(range(FOLDS), range(targets.shape[1])), strict=True)))
    return predicted


def _predict(trees: Trees, rows: NDArray[np.float32]) -> FloatArray:
    """Predict in pieces: all nodes of all rows at once would need gigabytes."""
    parts = [trees.predict(rows[at : at + 500]) for at in range(0, len(rows), 500)]
    return np.concatenate(parts)


def _norms(examples: Sequence[Example]) -> PhoneNorms:
    phones = np.concatenate([example.evidence.phones for example in examples])
    scores = _phone_targets(examples)
    own, highest = (
        np.concatenate([example.evidence.columns[name] for example in examples])
        for name in ("own", "window_highest")
    )
    per_phone = [
        (
            (np.nansum(scores[mine]) + _PRIOR_COUNT * _PRIOR_SCORE)
            / (np.sum(~np.isnan(scores[mine])) + _PRIOR_COUNT),
            np.append(own[mine], -1.0).mean(),
            np.append(own[mine], -1.0).std() + _PRIOR_DEVIATION,
            np.append(highest[mine], -1.0).mean(),
        )
        for mine in (phones == number for number in range(len(PHONES)))
    ]
    return PhoneNorms(*np.array(per_phone).T)


def _phone_targets(examples: Sequence[Example]) -> FloatArray:
    return np.concatenate([example.utterance.phones for example in examples])


def _rows(
    examples: Sequence[Example], inputs: Callable[[int], NDArray[np.float32]]
) -> NDArray[np.float32]:
    return np.concatenate([inputs(at) for at in range(len(examples))])


def _owners(examples: Sequence[Example], of: Literal["phones", "words"]) -> NDArray[np.int64]:
    """Return the number of the example that each phone or word belongs to."""
    sizes = [len(getattr(example.utterance, of)) for example in examples]
    return np.repeat(np.arange(len(examples)), sizes)


def _split(values: FloatArray, owners: NDArray[np.int64]) -> list[FloatArray]:
    return np.split(values, np.cumsum(np.bincount(owners))[:-1])
