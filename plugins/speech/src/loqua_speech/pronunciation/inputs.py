"""The heads' inputs from an utterance: measurements in context, in a fixed order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loqua_speech.pronunciation.evidence import Columns, Evidence, average_over_phones
from loqua_speech.pronunciation.phones import TRAITS, IntArray
from loqua_speech.pronunciation.reading import RecogniserReading

__all__ = [
    "PhoneNorms",
    "PhoneSequence",
    "phone_inputs",
    "phone_sequence",
    "phone_states",
    "read_phone_inputs",
    "read_utterance_inputs",
    "read_word_inputs",
    "utterance_inputs",
    "word_inputs",
]

FloatArray = NDArray[np.float64]

_SHARED = ("own", "window_highest", "edit", "span", "own_probability")
"""Measurements that a phone's neighbours are shown with."""

_AVERAGED = (
    *("own", "own_probability", "margin", "window_highest", "window_total", "window_entropy"),
    *("window_blank", "span", "occupancy", "gap_before", "gap_after", "window", "edit"),
    *("inserted_before", "boundary", "left_out", "rival_gain"),
)
_AVERAGED_IN_WORDS = (*_AVERAGED, "energy", "energy_highest", "pitch", "voicing")
_STRESSED = ("energy", "energy_highest", "pitch", "window", "own")
"""Measurements compared between a word's stressed and unstressed vowels."""

_POOR, _FAIR = 1.0, 1.6  # of 2


@dataclass(frozen=True, slots=True)
class PhoneNorms:
    """The usual values of each phone, in the order of `PHONES`.

    Attributes:
        score: Mean of the experts' scores.
        own: Mean of the log-posterior.
        own_deviation: Its standard deviation.
        highest: Mean of the highest log-posterior around the phone.
    """

    score: FloatArray
    own: FloatArray
    own_deviation: FloatArray
    highest: FloatArray


@dataclass(frozen=True, slots=True)
class PhoneSequence:
    """A transformer's input for an utterance.

    Attributes:
        rows: Measurements, one row a phone.
        phones: Classes of the phones.
        members: 1 where a phone, by columns, belongs to a word, by rows; otherwise 0.
        whole: Measurements of the utterance.
        sound: The recogniser's states over it.
    """

    rows: NDArray[np.float32]
    phones: IntArray
    members: NDArray[np.float32]
    whole: NDArray[np.float32]
    sound: NDArray[np.float32]


def phone_inputs(evidence: Evidence, norms: PhoneNorms) -> NDArray[np.float32]:
    """Return the phone head's inputs, one row a phone."""
    phones, columns = evidence.phones, evidence.columns
    own, rival = columns["own"], columns["rival"].astype(int)
    score = norms.score[phones]
    context = [phones, score, *_beside(score)]
    context += [side for name in _SHARED for side in _beside(columns[name])]
    unusual = own - norms.own[phones]
    context += [
        own - own.mean(),
        unusual,
        unusual / norms.own_deviation[phones],
        columns["window_highest"] - norms.highest[phones],
    ]
    traits = [TRAITS[phones], TRAITS[rival], *_beside_rows(TRAITS[phones])]
    whole = np.tile(list(evidence.utterance.values()), (len(phones), 1))
    measured = np.stack(list(columns.values()), axis=1)
    parts = [np.stack(context, axis=1), *traits, measured, whole, evidence.states]
    return np.concatenate(parts, axis=1).astype(np.float32)


def word_inputs(evidence: Evidence, scores: FloatArray) -> NDArray[np.float32]:
    """Return the word heads' inputs, one row a word; `scores` are the phones'."""
    words, columns = evidence.words, evidence.columns
    firsts = np.flatnonzero(np.append(True, words[1:] != words[:-1]))
    lasts = np.append(firsts[1:], len(words)) - 1
    summary = np.array([_summary(part) for part in np.split(scores, firsts[1:])])
    context = [
        np.full(len(firsts), scores.mean()),
        summary[:, 0] - scores.mean(),
        *_beside(summary[:, 0], edge=2.0),
        scores[firsts],
        scores[lasts],
        columns["gap_before"][firsts],
        columns["gap_after"][lasts],
        columns["relative_position"][firsts],
        np.bincount(words, columns["vowel"]),
    ]
    parts = [
        summary,
        _means(columns, _AVERAGED_IN_WORDS, words),
        np.stack(context, axis=1),
        _stress_contrast(columns, words),
        np.tile(list(evidence.utterance.values()), (len(firsts), 1)),
        np.add.reduceat(evidence.states, firsts, axis=0) / np.bincount(words)[:, None],
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def utterance_inputs(
    evidence: Evidence, scores: FloatArray, word_accuracy: FloatArray
) -> NDArray[np.float32]:
    """Return the utterance heads' inputs, one row."""
    everything = np.zeros(len(scores), np.int64)
    parts = [
        list(evidence.utterance.values()),
        _summary(scores),
        _summary(word_accuracy),
        _means(evidence.columns, _AVERAGED, everything)[0],
        evidence.states.mean(axis=0),
    ]
    return np.concatenate(parts)[None].astype(np.float32)


def read_phone_inputs(
    evidence: Evidence, scores: FloatArray, reading: RecogniserReading
) -> NDArray[np.float32]:
    """Return what corrects the phones' scores, one row a phone."""
    rows = _read(reading)[evidence.words]
    parts = [rows, scores[:, None], rows * scores[:, None]]
    return np.concatenate(parts, axis=1).astype(np.float32)


def read_word_inputs(
    inputs: NDArray[np.float32],
    words: IntArray,
    reading: RecogniserReading,
    by_states: FloatArray,
) -> NDArray[np.float32]:
    """Return the word heads' inputs with those of a reading, one row a word.

    Args:
        inputs: From `word_inputs`.
        words: Which word each phone belongs to.
        reading: How the recogniser read them.
        by_states: The phones' scores by its states.
    """
    parts = np.split(by_states, np.flatnonzero(np.diff(words)) + 1)
    summary = [_summary(part) for part in parts]
    return np.concatenate([inputs, summary, _read(reading)], axis=1).astype(np.float32)


def read_utterance_inputs(
    inputs: NDArray[np.float32],
    words: IntArray,
    reading: RecogniserReading,
    states: NDArray[np.float32],
    by_states: FloatArray,
) -> NDArray[np.float32]:
    """Return the utterance heads' inputs with those of a reading, one row.

    Args:
        inputs: From `utterance_inputs`.
        words: Which word each phone belongs to.
        reading: How the recogniser read its words.
        states: From `phone_states`.
        by_states: The phones' scores by them.
    """
    word_ends = states[np.append(words[1:] != words[:-1], True)].mean(axis=0)
    whole = np.concatenate([_summary(by_states), _read_whole(reading), word_ends, reading.sound])
    return np.concatenate([inputs, whole[None]], axis=1).astype(np.float32)


def phone_states(evidence: Evidence, reading: RecogniserReading) -> NDArray[np.float32]:
    """Return the recogniser's states averaged over each phone, one row a phone."""
    states = reading.states.astype(np.float32)
    return average_over_phones(states, evidence.starts, evidence.ends)


def phone_sequence(
    evidence: Evidence, norms: PhoneNorms, reading: RecogniserReading
) -> PhoneSequence:
    """Return the transformers' inputs."""
    words = np.arange(evidence.words[-1] + 1)
    measured = phone_inputs(evidence, norms)[:, 1:]  # without the class
    measured_whole = np.array(list(evidence.utterance.values()))
    return PhoneSequence(
        np.concatenate([measured, _read(reading)[evidence.words]], axis=1).astype(np.float32),
        evidence.phones,
        (words[:, None] == evidence.words).astype(np.float32),
        np.concatenate([measured_whole, _read_whole(reading)]).astype(np.float32),
        reading.sound,
    )


def _read_whole(reading: RecogniserReading) -> FloatArray:
    words = reading.words
    return np.concatenate([words.mean(axis=0), words.min(axis=0), [words[:, 0].sum()]])


def _read(reading: RecogniserReading) -> FloatArray:
    """Return how each word is read, beside its neighbours and all of them, 20 columns."""
    words = reading.words
    edge = np.zeros((1, 2))
    whole = np.concatenate([words.mean(axis=0), words.min(axis=0)])
    parts = [
        words,
        np.exp(words),
        np.concatenate([edge, words[:-1, :2]]),
        np.concatenate([words[1:, :2], edge]),
        np.tile(whole, (len(words), 1)),
    ]
    return np.concatenate(parts, axis=1)


def _summary(scores: FloatArray) -> list[float]:
    ranked = np.sort(scores)
    return [
        float(value)
        for value in (
            ranked.mean(),
            ranked[0],
            ranked[min(1, len(ranked) - 1)],
            ranked[-1],
            ranked.std(),
            len(ranked),
            (ranked < _POOR).sum(),
            (ranked < _FAIR).mean(),
            (2 - ranked).sum(),
            ranked[: max(1, len(ranked) // 3)].mean(),
        )
    ]


def _means(columns: Columns, names: Sequence[str], groups: IntArray) -> FloatArray:
    sizes = np.bincount(groups)
    return np.stack([np.bincount(groups, columns[name]) / sizes for name in names], axis=1)


def _stress_contrast(columns: Columns, words: IntArray) -> FloatArray:
    """Return stressed vowels' means less unstressed ones', and how many stressed there are."""
    vowels = columns["vowel"] > 0
    stressed = vowels & (columns["stress"] == 1)
    unstressed = vowels & (columns["stress"] == 0)
    contrasts = [
        _mean_where(columns[name], words, stressed) - _mean_where(columns[name], words, unstressed)
        for name in _STRESSED
    ]
    return np.stack([*contrasts, np.bincount(words, stressed)], axis=1)


def _mean_where(values: FloatArray, words: IntArray, chosen: NDArray[np.bool_]) -> FloatArray:
    return np.bincount(words, values * chosen) / np.maximum(np.bincount(words, chosen), 1)


def _beside(values: FloatArray, edge: float = 0.0) -> tuple[FloatArray, FloatArray]:
    """Return the values before and after each."""
    return np.append(edge, values[:-1]), np.append(values[1:], edge)


def _beside_rows(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    edge = np.full((1, rows.shape[1]), -1.0)
    return np.concatenate([edge, rows[:-1]]), np.concatenate([rows[1:], edge])
