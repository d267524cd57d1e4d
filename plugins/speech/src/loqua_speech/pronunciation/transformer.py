"""A small transformer over an utterance's phones, which predicts all scores at once.

`forward` takes the array library as a parameter: numpy here, jax where the weights are trained.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loqua_speech.pronunciation.inputs import PhoneSequence

__all__ = [
    "HEADS",
    "LAYERS",
    "REACH",
    "SCALED",
    "WIDTH",
    "Transformer",
    "forward",
    "in_experts_scales",
    "scaled",
]

WIDTH, HEADS, LAYERS = 64, 4, 2
REACH = 8
"""Phones from which on a distance is like any larger one."""
SCALED = ("rows", "whole", "sound")
"""The inputs that are scaled."""

Array = Any
"""An array of the library that is given."""

_CENTRES, _SPREADS = (1.87, 8.0, 7.5), (1.0, 2.0, 2.0)
"""Where the scores of phones, words and utterances lie, which the network need not learn."""
_FARTHEST = 5.0
_MASKED = -1e9
_SMALLEST = 1e-5


def _keep(values: Array, _: int) -> Array:
    return values


@dataclass(frozen=True, slots=True)
class Transformer:
    """A trained network.

    Attributes:
        weights: By the names that `forward` uses.
    """

    weights: Mapping[str, NDArray[np.floating]]

    def predict(
        self, sequence: PhoneSequence
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the scores of the phones, of the words and of the utterance."""
        weights = {name: it.astype(np.float32) for name, it in self.weights.items()}
        predicted = forward(weights, scaled(weights, sequence), np)
        phones, words, utterance = in_experts_scales(predicted)
        return phones[:, 0], words, utterance


def scaled(weights: Mapping[str, Array], sequence: PhoneSequence) -> PhoneSequence:
    """Return a sequence with inputs in deviations from their means."""
    inputs = {
        name: (getattr(sequence, name) - weights[f"{name}.mean"]) / weights[f"{name}.deviation"]
        for name in SCALED
    }
    return replace(sequence, **{k: it.clip(-_FARTHEST, _FARTHEST) for k, it in inputs.items()})


def in_experts_scales(predicted: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    """Return the scores that `forward` means."""
    phones, words, utterance = (
        centre + spread * it
        for centre, spread, it in zip(_CENTRES, _SPREADS, predicted, strict=True)
    )
    return phones, words, utterance


def forward(
    weights: Mapping[str, Array],
    sequence: PhoneSequence,
    xp: Any,
    drop: Callable[[Array, int], Array] = _keep,
) -> tuple[Array, Array, Array]:
    """Return phones by one score, words by `WORD_SCORES`, and `UTTERANCE_SCORES`, unscaled.

    Args:
        weights: By name.
        sequence: The utterance; phones that belong to no word are padding.
        xp: The array library.
        drop: Drops some of the values in training; places are numbered.
    """
    members = sequence.members
    real = members.sum(axis=0)
    whole = _dense(weights, "whole", sequence.whole) + sequence.sound @ weights["sound"]
    whole = _gelu(whole, xp)
    states = _dense(weights, "rows", sequence.rows) + weights["phones"][sequence.phones]
    states = states + whole @ weights["spread"]
    states = _with_neighbours(weights, drop(states, 0) * real[:, None], xp)
    bias = (1 - real) * _MASKED
    for layer in range(LAYERS):
        names = {name[2:]: it for name, it in weights.items() if name.startswith(f"{layer}.")}
        attended = _attend(names, _normal(names, "attend", states, xp), members, bias, xp)
        states = states + drop(attended, 1 + 2 * layer)
        inner = _dense(names, "inner", _normal(names, "feed", states, xp))
        states = states + drop(_dense(names, "outer", _gelu(inner, xp)), 2 + 2 * layer)
    states = _normal(weights, "last", states, xp)
    return _scores(weights, states, whole, members, bias, xp, drop)


def _scores(
    weights: Mapping[str, Array],
    states: Array,
    whole: Array,
    members: Array,
    bias: Array,
    xp: Any,
    drop: Callable[[Array, int], Array],
) -> tuple[Array, Array, Array]:
    phones = _dense(weights, "phone", states)
    means = members / xp.maximum(members.sum(axis=1, keepdims=True), 1)
    words = xp.concatenate([means @ states, means @ phones], axis=-1)
    words = _dense(weights, "word", _gelu(_dense(weights, "word.inner", words), xp))
    real = members.sum(axis=0)
    chosen = _softmax((states @ weights["pool"])[:, 0] + bias, xp)
    pooled = xp.concatenate([(real / real.sum()) @ states, chosen @ states, whole])
    pooled = _gelu(_dense(weights, "utterance.inner", drop(pooled, 1 + 2 * LAYERS)), xp)
    return phones, words, _dense(weights, "utterance", pooled)


def _with_neighbours(weights: Mapping[str, Array], states: Array, xp: Any) -> Array:
    nothing = xp.zeros_like(states[:1])
    before = xp.concatenate([nothing, states[:-1]])
    after = xp.concatenate([states[1:], nothing])
    around = xp.concatenate([before, states, after], axis=-1)
    return states + _gelu(_dense(weights, "near", around), xp)


def _attend(
    weights: Mapping[str, Array], states: Array, members: Array, bias: Array, xp: Any
) -> Array:
    """Return what each phone sees in the others: by content, distance, and whether in its word."""
    count = states.shape[0]
    query, key, value = (
        (states @ weights[name]).reshape(count, HEADS, -1).transpose(1, 0, 2)
        for name in ("query", "key", "value")
    )
    places = xp.arange(count)
    distance = xp.clip(places[None] - places[:, None], -REACH, REACH) + REACH
    likeness = query @ key.transpose(0, 2, 1) / (WIDTH // HEADS) ** 0.5
    likeness = likeness + bias + weights["distance"][:, distance]
    likeness = likeness + (members.T @ members) * weights["same_word"][:, None, None]
    seen = _softmax(likeness, xp) @ value
    return seen.transpose(1, 0, 2).reshape(count, -1) @ weights["seen"]


def _dense(weights: Mapping[str, Array], name: str, values: Array) -> Array:
    return values @ weights[name] + weights[f"{name}.bias"]


def _normal(weights: Mapping[str, Array], name: str, values: Array, xp: Any) -> Array:
    centred = values - values.mean(axis=-1, keepdims=True)
    deviation = xp.sqrt((centred**2).mean(axis=-1, keepdims=True) + _SMALLEST)
    return centred / deviation * weights[f"{name}.gain"] + weights[f"{name}.bias"]


def _gelu(values: Array, xp: Any) -> Array:
    return values / (1 + xp.exp(-1.702 * values))


def _softmax(values: Array, xp: Any) -> Array:
    powers = xp.exp(values - values.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
