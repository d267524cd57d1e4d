"""Fitting of the head, each stage on predictions for held-out speakers."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loqua_speech.pronunciation.head import TRANSFORMERS, Head, ReadingHead, Scores, blend
from loqua_speech.pronunciation.inputs import (
    PhoneNorms,
    PhoneSequence,
    phone_inputs,
    phone_sequence,
    phone_states,
    read_phone_inputs,
    read_utterance_inputs,
    read_word_inputs,
    utterance_inputs,
    word_inputs,
)
from loqua_speech.pronunciation.phones import PHONES
from loqua_speech.pronunciation.reading import RecogniserReading
from loqua_speech.pronunciation.regression import ClassLinear, Kernel, Linear, Quadratic
from loqua_speech.pronunciation.transformer import Transformer
from loqua_speech.pronunciation.trees import Trees
from training.pronunciation.boosting import (
    PHONE,
    SUBSTITUTION,
    UTTERANCE,
    WORD,
    Boosting,
    fit_trees,
)
from training.pronunciation.measuring import Example
from training.pronunciation.ridge import (
    fit_by_class,
    fit_kernel,
    fit_linear,
    fit_quadratic,
    variation,
    weights,
)
from training.pronunciation.substitutions import Substitution
from training.pronunciation.transformers import fit_transformer

__all__ = [
    "FOLDS",
    "cross_validate",
    "cross_validate_sound",
    "cross_validate_substitutions",
    "fit_head",
    "fit_sound",
]

FOLDS = 4
_PRIOR_COUNT, _PRIOR_SCORE, _PRIOR_DEVIATION = 5, 1.85, 0.3

_RIGHT, _REPLACED = 1.8, 0.5
"""Scores of phones, of 2, that count as right and as replaced by another."""

_READ_WORD, _READ_WHOLE, _BY_STATES, _WORD_ENDS, _SOUND = 20, 9, 10, 512, 1024
"""How many inputs of words and utterances a reading has, by kind."""

FloatArray = NDArray[np.float64]
Rows = NDArray[np.float32]
Owners = NDArray[np.int64]
Fit = Callable[[Rows, FloatArray], Linear | Quadratic | Kernel]


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


@dataclass(frozen=True, slots=True)
class _Targets:
    """What experts say: a row for each phone, word or utterance, a column for each score."""

    phones: FloatArray
    words: FloatArray
    utterances: FloatArray


def cross_validate(
    examples: Sequence[Example], readings: Sequence[RecogniserReading]
) -> tuple[list[Scores], list[Scores]]:
    """Return the scores of each example by heads that have not heard its speaker.

    Args:
        examples: The examples.
        readings: Of each of them.

    Returns:
        The scores by trees alone, and those with readings.
    """
    stages, targets, folds = _stages(examples), _targets(examples), _folds(examples)
    of_phone, of_word = _owners(examples, "phones"), _owners(examples, "words")
    states = _states(examples, readings)
    by_states = _split(_by_states_out_of_fold(examples, states), of_phone)
    rows = _read_rows(stages, examples, readings, states, by_states)
    read = _Targets(
        _read_out_of_fold(rows.phones, targets.phones, folds[of_phone], _fit_phones),
        _read_out_of_fold(rows.words, targets.words, folds[of_word], _fit_words),
        _read_out_of_fold(rows.utterances, targets.utterances, folds, _fit_utterances),
    )
    alone = _Targets(stages.phones[:, None], stages.words, stages.utterances)
    regressed = _scores(read, of_phone, of_word)
    transformed = _transformed_out_of_fold(examples, _sequences(stages.norms, examples, readings))
    blended = [blend(*three) for three in zip(regressed, by_states, transformed, strict=True)]
    return _scores(alone, of_phone, of_word), blended


def cross_validate_sound(
    examples: Sequence[Example], readings: Sequence[RecogniserReading]
) -> FloatArray:
    """Return the utterances' scores by their sound alone, from regressions without the speaker."""
    targets = _targets(examples).utterances
    return _read_out_of_fold(_sounds(readings), targets, _folds(examples), fit_sound)


def cross_validate_substitutions(
    examples: Sequence[Example], substitutions: Sequence[Substitution]
) -> tuple[list[FloatArray], FloatArray]:
    """Return the log-odds of another sound, by trees that have not heard the speaker.

    Returns:
        Those of each example's phones, and those of the sounds that were replaced.
    """
    folds, norms = _folds(examples), _norms(examples)
    of_speaker = {it.utterance.speaker: fold for it, fold in zip(examples, folds, strict=True)}
    of_changed = np.array([of_speaker[it.speaker] for it in substitutions])
    said = [np.zeros(0)] * len(examples)
    changed = np.zeros(len(substitutions))
    rows = _replaced_rows(substitutions, norms)
    for fold in range(FOLDS):
        heard = [it for it, own in zip(examples, folds, strict=True) if own != fold]
        kept = [it for it, own in zip(substitutions, of_changed, strict=True) if own != fold]
        trees = _fit_substitution(heard, kept, norms)
        changed[of_changed == fold] = _predict(trees, rows[of_changed == fold])
        for at in np.flatnonzero(folds == fold).tolist():
            said[at] = trees.predict(phone_inputs(examples[at].evidence, norms))
    return said, changed


def fit_head(
    examples: Sequence[Example],
    readings: Sequence[RecogniserReading],
    substitutions: Sequence[Substitution],
) -> Head:
    """Return the head fitted to all examples, their readings, and replaced sounds."""
    stages, targets = _stages(examples), _targets(examples)
    states = _states(examples, readings)
    by_states = _split(_by_states_out_of_fold(examples, states), _owners(examples, "phones"))
    rows = _read_rows(stages, examples, readings, states, by_states)
    return Head(
        stages.norms,
        fit_trees(stages.phone_rows, targets.phones[:, 0], PHONE),
        tuple(fit_trees(stages.word_rows, it, WORD) for it in targets.words.T),
        tuple(fit_trees(stages.utterance_rows, it, UTTERANCE) for it in targets.utterances.T),
        ReadingHead(
            _fit_phones(rows.phones, targets.phones),
            _fit_states(examples, states),
            _fit_words(rows.words, targets.words),
            _fit_utterances(rows.utterances, targets.utterances),
            fit_sound(_sounds(readings), targets.utterances),
            _fit_transformers(examples, _sequences(stages.norms, examples, readings)),
        ),
        _fit_substitution(examples, substitutions, stages.norms),
    )


def _fit_substitution(
    examples: Sequence[Example], substitutions: Sequence[Substitution], norms: PhoneNorms
) -> Trees:
    """Return trees that tell phones that were replaced, or wrong for experts, from right ones."""
    said = _rows(examples, lambda at: phone_inputs(examples[at].evidence, norms))
    scores = _targets(examples).phones[:, 0]
    known = np.where(scores >= _RIGHT, 0.0, np.where(scores < _REPLACED, 1.0, np.nan))
    rows = np.concatenate([said, _replaced_rows(substitutions, norms)])
    return fit_trees(rows, np.append(known, np.ones(len(substitutions))), SUBSTITUTION)


def _replaced_rows(substitutions: Sequence[Substitution], norms: PhoneNorms) -> Rows:
    return np.stack([phone_inputs(it.evidence, norms)[it.phone] for it in substitutions])


def _states(
    examples: Sequence[Example], readings: Sequence[RecogniserReading]
) -> list[NDArray[np.float32]]:
    pairs = zip(examples, readings, strict=True)
    return [phone_states(example.evidence, reading) for example, reading in pairs]


def _fit_states(examples: Sequence[Example], states: Sequence[NDArray[np.float32]]) -> ClassLinear:
    phones = np.concatenate([example.evidence.phones for example in examples])
    targets = _targets(examples).phones[:, 0]
    return fit_by_class(phones, np.concatenate(states), targets, count=len(PHONES), cost=0.3)


def _by_states_out_of_fold(
    examples: Sequence[Example], states: Sequence[NDArray[np.float32]]
) -> FloatArray:
    """Return the phones' scores by states, from regressions that have not heard the speaker."""
    folds = _folds(examples)
    scores: dict[int, FloatArray] = {}
    for fold in range(FOLDS):
        heard = np.flatnonzero(folds != fold).tolist()
        regression = _fit_states([examples[at] for at in heard], [states[at] for at in heard])
        for at in np.flatnonzero(folds == fold).tolist():
            scores[at] = regression.predict(examples[at].evidence.phones, states[at])
    return np.concatenate([scores[at] for at in range(len(examples))])


def _sequences(
    norms: PhoneNorms, examples: Sequence[Example], readings: Sequence[RecogniserReading]
) -> list[PhoneSequence]:
    pairs = zip(examples, readings, strict=True)
    return [phone_sequence(example.evidence, norms, reading) for example, reading in pairs]


def _fit_transformers(
    examples: Sequence[Example], sequences: Sequence[PhoneSequence]
) -> tuple[Transformer, ...]:
    utterances = [example.utterance for example in examples]
    return tuple(fit_transformer(sequences, utterances, seed) for seed in range(TRANSFORMERS))


def _transformed_out_of_fold(
    examples: Sequence[Example], sequences: Sequence[PhoneSequence]
) -> list[list[Scores]]:
    """Return of each example what each transformer that has not heard its speaker says."""
    folds = _folds(examples)
    scores: dict[int, list[Scores]] = {}
    for fold in range(FOLDS):
        heard = np.flatnonzero(folds != fold).tolist()
        transformers = _fit_transformers(
            [examples[at] for at in heard], [sequences[at] for at in heard]
        )
        for at in np.flatnonzero(folds == fold).tolist():
            scores[at] = [Scores(*it.predict(sequences[at])) for it in transformers]
    return [scores[at] for at in range(len(examples))]


@dataclass(frozen=True, slots=True)
class _ReadRows:
    """Inputs with readings: a row for each phone, word or utterance."""

    phones: Rows
    words: Rows
    utterances: Rows


def _read_rows(
    stages: _Stages,
    examples: Sequence[Example],
    readings: Sequence[RecogniserReading],
    states: Sequence[NDArray[np.float32]],
    by_states: Sequence[FloatArray],
) -> _ReadRows:
    phones = _split(stages.phones, _owners(examples, "phones"))
    of_words = np.split(stages.word_rows, _bounds(_owners(examples, "words")))
    whole = stages.utterance_rows
    return _ReadRows(
        _rows(
            examples,
            lambda at: read_phone_inputs(examples[at].evidence, phones[at], readings[at]),
        ),
        _rows(
            examples,
            lambda at: read_word_inputs(
                of_words[at], examples[at].evidence.words, readings[at], by_states[at]
            ),
        ),
        _rows(
            examples,
            lambda at: read_utterance_inputs(
                whole[at : at + 1],
                examples[at].evidence.words,
                readings[at],
                states[at],
                by_states[at],
            ),
        ),
    )


def _fit_phones(rows: Rows, targets: FloatArray) -> Linear:
    return fit_linear(rows, targets, np.ones(rows.shape[1], np.float32), cost=10)


def _fit_words(rows: Rows, targets: FloatArray) -> Kernel:
    """Return a kernel whose reach was chosen by cross-validation."""
    measured = rows.shape[1] - _BY_STATES - _READ_WORD
    weight = weights((measured, 0.55), (_BY_STATES, 0.6), (_READ_WORD, 0.38))
    return fit_kernel(rows, targets, weight, examples=1000)


def _fit_utterances(rows: Rows, targets: FloatArray) -> Quadratic:
    """Return a regression in which the encoder's states count by how much they vary."""
    measured = rows.shape[1] - _BY_STATES - _READ_WHOLE - _WORD_ENDS - _SOUND
    word_ends, sound = rows[:, -_WORD_ENDS - _SOUND : -_SOUND], rows[:, -_SOUND:]
    weight = np.concatenate(
        [
            weights((measured, 0.7), (_BY_STATES, 0.5), (_READ_WHOLE, 0.6)),
            variation(word_ends),
            variation(sound),
        ]
    )
    return fit_quadratic(rows, targets, weight, cost=10, products=0.25)


def fit_sound(rows: Rows, targets: FloatArray) -> Quadratic:
    """Return a regression of utterances' scores on the encoder's states, by how much they vary."""
    return fit_quadratic(rows, targets, variation(rows), cost=3, products=1)


def _sounds(readings: Sequence[RecogniserReading]) -> Rows:
    return np.stack([reading.sound for reading in readings])


def _scores(of: _Targets, of_phone: Owners, of_word: Owners) -> list[Scores]:
    phones, words = _split(of.phones[:, 0], of_phone), _split(of.words, of_word)
    return [Scores(*parts) for parts in zip(phones, words, of.utterances, strict=True)]


def _stages(examples: Sequence[Example]) -> _Stages:
    folds = _folds(examples)
    norms = _norms(examples)
    phone_rows = _rows(examples, lambda at: phone_inputs(examples[at].evidence, norms))
    of_phone = _owners(examples, "phones")
    targets = _targets(examples)
    phones = _out_of_fold(phone_rows, targets.phones, folds[of_phone], PHONE)[:, 0]
    phone_parts = _split(phones, of_phone)
    word_rows = _rows(examples, lambda at: word_inputs(examples[at].evidence, phone_parts[at]))
    of_word = _owners(examples, "words")
    words = _out_of_fold(word_rows, targets.words, folds[of_word], WORD)
    accuracy = _split(words[:, 0], of_word)
    utterance_rows = _rows(
        examples, lambda at: utterance_inputs(examples[at].evidence, phone_parts[at], accuracy[at])
    )
    utterances = _out_of_fold(utterance_rows, targets.utterances, folds, UTTERANCE)
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


def _read_out_of_fold(
    rows: Rows, targets: FloatArray, folds: NDArray[np.int64], fit: Fit
) -> FloatArray:
    predicted = np.zeros(targets.shape)
    for fold in range(FOLDS):
        held = folds == fold
        predicted[held] = fit(rows[~held], targets[~held]).predict(rows[held])
    return predicted


def _predict(trees: Trees, rows: NDArray[np.float32]) -> FloatArray:
    """Predict in pieces: all nodes of all rows at once would need gigabytes."""
    parts = [trees.predict(rows[at : at + 500]) for at in range(0, len(rows), 500)]
    return np.concatenate(parts)


def _norms(examples: Sequence[Example]) -> PhoneNorms:
    phones = np.concatenate([example.evidence.phones for example in examples])
    scores = _targets(examples).phones[:, 0]
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


def _targets(examples: Sequence[Example]) -> _Targets:
    return _Targets(
        np.concatenate([example.utterance.phones for example in examples])[:, None],
        np.concatenate([example.utterance.words for example in examples]),
        np.stack([example.utterance.means for example in examples]),
    )


def _rows(
    examples: Sequence[Example], inputs: Callable[[int], NDArray[np.float32]]
) -> NDArray[np.float32]:
    return np.concatenate([inputs(at) for at in range(len(examples))])


def _owners(examples: Sequence[Example], of: Literal["phones", "words"]) -> NDArray[np.int64]:
    """Return the number of the example that each phone or word belongs to."""
    sizes = [len(getattr(example.utterance, of)) for example in examples]
    return np.repeat(np.arange(len(examples)), sizes)


def _split(values: FloatArray, owners: NDArray[np.int64]) -> list[FloatArray]:
    return np.split(values, _bounds(owners))


def _bounds(owners: Owners) -> Owners:
    """Return where each example but the first begins."""
    return np.cumsum(np.bincount(owners))[:-1]
