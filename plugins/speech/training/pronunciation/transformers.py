"""Transformers trained with jax."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

from loqua_speech.pronunciation.head import UTTERANCE_SCORES, WORD_SCORES
from loqua_speech.pronunciation.inputs import PhoneSequence
from loqua_speech.pronunciation.phones import PHONES
from loqua_speech.pronunciation.transformer import (
    HEADS,
    LAYERS,
    REACH,
    SCALED,
    WIDTH,
    Transformer,
    forward,
    in_experts_scales,
    scaled,
)
from training.pronunciation.corpus import CorpusUtterance

__all__ = ["fit_transformer"]

_EPOCHS, _BATCH = 14, 25
_RATE, _DECAY = 2e-3, 0.1
_DROPPED, _SOUND_DROPPED, _NOISE = 0.3, 0.5, 0.3
_TOGETHER = 500
"""Utterances of which those of like length are trained together."""
_PHONES, _WORDS = 16, 12  # batches have multiples of these sizes: each size is compiled
_WHOLE, _INNER = 32, 48

Weights = dict[str, Any]

jax.tree_util.register_dataclass(PhoneSequence, [it.name for it in fields(PhoneSequence)], [])


@jax.tree_util.register_dataclass
@dataclass(frozen=True, slots=True)
class _Batch:
    """Utterances of one size, with the experts' scores; NaN where there is none."""

    inputs: PhoneSequence
    phones: NDArray[np.float32]
    words: NDArray[np.float32]
    utterances: NDArray[np.float32]


def fit_transformer(
    sequences: Sequence[PhoneSequence], utterances: Sequence[CorpusUtterance], seed: int
) -> Transformer:
    """Return a transformer fitted to all utterances.

    Args:
        sequences: The inputs.
        utterances: The experts' scores.
        seed: Of the first weights, the order and the noise.
    """
    scales = _scales(sequences)
    inputs = [scaled(scales, it) for it in sequences]
    generator = np.random.default_rng(seed)
    weights = _first_weights(generator, inputs[0])
    steps = _EPOCHS * (len(inputs) // _BATCH + 5)
    schedule = optax.warmup_cosine_decay_schedule(0, _RATE, steps // 20, steps)
    decayed = {name: it.ndim > 1 for name, it in weights.items()}
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(schedule, weight_decay=_DECAY, mask=decayed)
    )
    state, key = optimizer.init(weights), jax.random.key(seed)

    @jax.jit
    def step(weights: Weights, state: Any, batch: _Batch, key: Any) -> tuple[Weights, Any]:
        gradients = jax.grad(_loss)(weights, batch, key)
        updates, state = optimizer.update(gradients, state, weights)
        return optax.apply_updates(weights, updates), state

    for _ in range(_EPOCHS):
        for chosen in _batches(inputs, generator):
            key, own = jax.random.split(key)
            disturbed = [_disturbed(inputs[at], generator) for at in chosen]
            batch = _stacked(disturbed, [utterances[at] for at in chosen])
            weights, state = step(weights, state, batch, own)
    return Transformer(scales | {name: np.float16(it) for name, it in weights.items()})


def _loss(weights: Weights, batch: _Batch, key: Any) -> Any:
    def one(inputs: PhoneSequence, key: Any) -> Any:
        def drop(values: Any, place: int) -> Any:
            kept = 1 - _DROPPED
            is_kept = jax.random.bernoulli(jax.random.fold_in(key, place), kept, values.shape)
            return values * is_kept / kept

        return in_experts_scales(forward(weights, inputs, jnp, drop))

    keys = jax.random.split(key, len(batch.phones))
    phones, words, utterances = jax.vmap(one)(batch.inputs, keys)
    return (
        _error(phones[..., 0], batch.phones)
        + _error(words / 5, batch.words / 5)
        + _error(utterances / 5, batch.utterances / 5)
    )


def _disturbed(inputs: PhoneSequence, generator: np.random.Generator) -> PhoneSequence:
    """Return inputs with noise, of which some are dropped."""

    def dropped(values: NDArray[np.float32], share: float, noise: float) -> NDArray[np.float32]:
        noisy = values + noise * generator.standard_normal(values.shape, np.float32)
        return noisy * (generator.random(values.shape, np.float32) >= share) / np.float32(1 - share)

    return replace(
        inputs,
        rows=dropped(inputs.rows, _DROPPED, _NOISE),
        whole=dropped(inputs.whole, _DROPPED, _NOISE),
        sound=dropped(inputs.sound, _SOUND_DROPPED, 0),
    )


def _error(predicted: Any, expected: Any) -> Any:
    known = ~jnp.isnan(expected)
    squares = (predicted - jnp.where(known, expected, 0)) ** 2
    return (squares * known).sum() / known.sum()


def _scales(sequences: Sequence[PhoneSequence]) -> dict[str, NDArray[np.float32]]:
    """Return means and deviations; the sound's states keep how much each varies."""
    rows = np.concatenate([it.rows for it in sequences])
    whole, sound = (np.stack([getattr(it, name) for it in sequences]) for name in SCALED[1:])
    return {
        "rows.mean": rows.mean(axis=0),
        "rows.deviation": rows.std(axis=0) + np.float32(1e-3),
        "whole.mean": whole.mean(axis=0),
        "whole.deviation": whole.std(axis=0) + np.float32(1e-3),
        "sound.mean": sound.mean(axis=0),
        "sound.deviation": np.sqrt((sound.std(axis=0) ** 2).sum()),
    }


def _batches(
    inputs: Sequence[PhoneSequence], generator: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of utterances that are of like length."""
    order, lengths = generator.permutation(len(inputs)), np.array([len(it.phones) for it in inputs])
    batches = []
    for start in range(0, len(order), _TOGETHER):
        group = order[start : start + _TOGETHER]
        group = group[np.argsort(lengths[group], kind="stable")]
        batches += [group[at : at + _BATCH] for at in range(0, len(group), _BATCH)]
    yield from (batches[at] for at in generator.permutation(len(batches)))


def _stacked(inputs: Sequence[PhoneSequence], utterances: Sequence[CorpusUtterance]) -> _Batch:
    phones = _rounded(max(len(it.phones) for it in inputs), _PHONES)
    words = _rounded(max(len(it.members) for it in inputs), _WORDS)
    return _Batch(
        PhoneSequence(
            np.stack([_padded(it.rows, phones) for it in inputs]),
            np.stack([_padded(it.phones, phones) for it in inputs]),
            np.stack([_padded(it.members, words, phones) for it in inputs]),
            np.stack([it.whole for it in inputs]),
            np.stack([it.sound for it in inputs]),
        ),
        np.stack([_padded(it.phones, phones, with_=np.nan) for it in utterances]),
        np.stack([_padded(it.words, words, with_=np.nan) for it in utterances]),
        np.stack([it.scores for it in utterances]).astype(np.float32),
    )


def _rounded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _padded(values: NDArray[Any], *sizes: int, with_: float = 0) -> NDArray[Any]:
    missing = [(0, size - have) for size, have in zip(sizes, values.shape, strict=False)]
    missing += [(0, 0)] * (values.ndim - len(missing))
    padded = np.pad(values, missing, constant_values=with_)
    return padded.astype(np.float32) if values.dtype.kind == "f" else padded


def _first_weights(generator: np.random.Generator, like: PhoneSequence) -> Weights:
    """Return weights in which every layer's output is about as large as its input."""

    def drawn(inputs: int, outputs: int, size: float | None = None) -> NDArray[np.float32]:
        return (generator.standard_normal((inputs, outputs)) * (size or inputs**-0.5)).astype(
            np.float32
        )

    def dense(name: str, inputs: int, outputs: int, size: float | None = None) -> Weights:
        return {name: drawn(inputs, outputs, size), f"{name}.bias": np.zeros(outputs, np.float32)}

    def normal(name: str) -> Weights:
        return {
            f"{name}.gain": np.ones(WIDTH, np.float32),
            f"{name}.bias": np.zeros(WIDTH, np.float32),
        }

    weights = {
        **dense("whole", len(like.whole), _WHOLE),
        "sound": drawn(len(like.sound), _WHOLE, 0.3),
        **dense("rows", like.rows.shape[1], WIDTH),
        "phones": drawn(len(PHONES), WIDTH, 0.5),
        "spread": drawn(_WHOLE, WIDTH),
        **dense("near", 3 * WIDTH, WIDTH),
        **normal("last"),
        **dense("phone", WIDTH, 1, 0.02),
        **dense("word.inner", WIDTH + 1, _INNER),
        **dense("word", _INNER, len(WORD_SCORES), 0.02),
        "pool": drawn(WIDTH, 1),
        **dense("utterance.inner", 2 * WIDTH + _WHOLE, _INNER),
        **dense("utterance", _INNER, len(UTTERANCE_SCORES), 0.02),
    }
    for layer in range(LAYERS):
        inside = {
            **normal("attend"),
            **{name: drawn(WIDTH, WIDTH) for name in ("query", "key", "value")},
            "seen": drawn(WIDTH, WIDTH, 0.05),
            "distance": np.zeros((HEADS, 2 * REACH + 1), np.float32),
            "same_word": np.zeros(HEADS, np.float32),
            **normal("feed"),
            **dense("inner", WIDTH, 2 * WIDTH),
            **dense("outer", 2 * WIDTH, WIDTH, 0.05),
        }
        weights |= {f"{layer}.{name}": it for name, it in inside.items()}
    return {name: jnp.asarray(it) for name, it in weights.items()}
