"""The acoustic model: audio to phone posteriors, in frames of 20 ms.

The weights are those of hama 1.7.0 (Apache-2.0, https://github.com/hamanlp/hama): a conformer with
four blocks of width 144, trained with CTC over IPA. They are read from that package and run in
numpy, because the package's own engine keeps the hidden states to itself. The posteriors differ
from the engine's by less than 0.001.
"""

import json
import struct
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from math import sqrt
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from loqua_speech.errors import WeightsError
from loqua_speech.pronunciation.phones import CLASSES, class_matrix

__all__ = ["FRAME_SECONDS", "Frames", "PhoneNetwork", "package_folder"]

FRAME_SECONDS = 0.02

FloatArray = NDArray[np.float32]

_BLOCKS, _HEADS, _WIDTH, _KERNEL = 4, 4, 144, 31
_WINDOW, _HOP = 400, 160
_FLOOR = 1e-10
# The exporter numbered the matrices: the first of each block, and within a block.
_FIRST_MATRIX = (829, 838, 847, 856)
_FFN1_UP, _FFN1_DOWN, _ATTENTION_IN, _ATTENTION_OUT, _FFN2_UP, _FFN2_DOWN = 0, 1, 2, 6, 7, 8


@dataclass(frozen=True, slots=True)
class Frames:
    """The network's output for an utterance.

    Attributes:
        log_posteriors: Frames by classes of `phones`; each row sums to one when exponentiated.
        boundaries: Log-probability of a word boundary, a frame.
        states: The hidden states behind them, frames by 144.
    """

    log_posteriors: NDArray[np.float64]
    boundaries: NDArray[np.float64]
    states: FloatArray


class PhoneNetwork:
    """The loaded model. It keeps no state between calls, so threads may share it."""

    def __init__(self, weights: dict[str, FloatArray], tokens: list[str]) -> None:
        """Use these weights, under the names in hama's file, and the decoder's tokens."""
        self._weights = weights
        self._classes = class_matrix(tokens)

    @classmethod
    def packaged(cls) -> Self:
        """Return the model of the installed package hama.

        Raises:
            WeightsError: If the package is missing or holds another model.
        """
        folder = package_folder("hama") / "assets"
        try:
            vocabulary = json.loads((folder / "g2p_vocab.json").read_text("utf-8"))
            weights = _read_weights((folder / "asr_waveform.hama").read_bytes())
            return cls(weights, [*vocabulary["decoder"], "<wb>", "<blank>"])
        except (OSError, KeyError, ValueError, struct.error) as error:
            raise WeightsError(
                f"the acoustic model in {folder} cannot be read ({error}): reinstall hama==1.7.0"
            ) from error

    def listen(self, samples: FloatArray) -> Frames:
        """Return the frames of mono samples at 16 kHz, at least 201 of them."""
        hidden = self._subsample(self._log_mel(samples))
        for block in range(_BLOCKS):
            hidden = self._block(hidden, block)
        weights = self._weights
        logits = hidden @ weights["acoustic_model.model.proj.weight"][:, :, 0].T
        logits += weights["acoustic_model.model.proj.bias"]
        return _frames(_softmax(logits.astype(np.float64)) @ self._classes, hidden)

    def _log_mel(self, samples: FloatArray) -> FloatArray:
        padded = np.pad(samples, _WINDOW // 2, mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_HOP]
        real, imaginary = (windows @ kernel.T for kernel in self._fourier)
        power = (real**2 + imaginary**2) @ self._weights["mel_fb"]
        return np.log(np.maximum(power, _FLOOR)).astype(np.float32)

    @cached_property
    def _fourier(self) -> tuple[FloatArray, FloatArray]:
        """The windowed Fourier transform's real and imaginary part, frequencies by samples."""
        real, imaginary = (self._weights[f"stft_{part}_kernel"][:, 0] for part in ("real", "imag"))
        return real, imaginary

    def _subsample(self, mel: FloatArray) -> FloatArray:
        """Halve the rate with the first convolution."""
        kernel, bias = self._weights["onnx::Conv_801"], self._weights["onnx::Conv_802"]
        count = (len(mel) + 1) // 2
        padded = np.pad(mel, ((1, 2), (0, 0)))
        taps = [padded[tap : tap + 2 * count : 2][:count] @ kernel[:, :, tap].T for tap in range(3)]
        return _gelu(np.sum(taps, axis=0) + bias)

    def _block(self, x: FloatArray, block: int) -> FloatArray:
        x = x + 0.5 * self._feed_forward(x, block, "ffn1", _FFN1_UP, _FFN1_DOWN)
        x = x + self._attention(x, block)
        x = x + self._convolution(x, block)
        x = x + 0.5 * self._feed_forward(x, block, "ffn2", _FFN2_UP, _FFN2_DOWN)
        return self._normalised(x, block, "norm")

    def _feed_forward(self, x: FloatArray, block: int, name: str, up: int, down: int) -> FloatArray:
        hidden = self._normalised(x, block, f"{name}.norm") @ self._matrix(block, up)
        hidden = _silu(hidden + self._of(block, f"{name}.fc1.bias"))
        out = hidden @ self._matrix(block, down) + self._of(block, f"{name}.fc2.bias")
        return np.asarray(out)

    def _attention(self, x: FloatArray, block: int) -> FloatArray:
        projected = self._normalised(x, block, "attn_norm") @ self._matrix(block, _ATTENTION_IN)
        projected += self._of(block, "attn.in_proj_bias")
        size = _WIDTH // _HEADS
        query, key, value = (
            part.reshape(len(x), _HEADS, size).transpose(1, 0, 2)
            for part in np.split(projected, 3, axis=1)
        )
        mixed = _softmax(query @ key.transpose(0, 2, 1) / np.float32(sqrt(size))) @ value
        joined = mixed.transpose(1, 0, 2).reshape(len(x), _WIDTH)
        out = joined @ self._matrix(block, _ATTENTION_OUT) + self._of(block, "attn.out_proj.bias")
        return np.asarray(out)

    def _convolution(self, x: FloatArray, block: int) -> FloatArray:
        hidden = self._pointwise(self._normalised(x, block, "conv.norm"), block, 1)
        signal, gate = np.split(hidden, 2, axis=1)
        kernel = self._weights[f"onnx::Conv_{804 + 3 * block}"][:, 0]
        padded = np.pad(signal * _sigmoid(gate), ((_KERNEL // 2, _KERNEL // 2), (0, 0)))
        around = np.lib.stride_tricks.sliding_window_view(padded, _KERNEL, axis=0)
        mixed = np.einsum("tck,ck->tc", around, kernel)
        mixed += self._weights[f"onnx::Conv_{805 + 3 * block}"]
        return self._pointwise(_silu(mixed), block, 2)

    def _pointwise(self, x: FloatArray, block: int, number: int) -> FloatArray:
        name = f"conv.pointwise{number}"
        out = x @ self._of(block, f"{name}.weight")[:, :, 0].T + self._of(block, f"{name}.bias")
        return np.asarray(out)

    def _normalised(self, x: FloatArray, block: int, name: str) -> FloatArray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(1e-5))
        out = scaled * self._of(block, f"{name}.weight") + self._of(block, f"{name}.bias")
        return np.asarray(out)

    def _of(self, block: int, name: str) -> FloatArray:
        return self._weights[f"acoustic_model.model.blocks.{block}.{name}"]

    def _matrix(self, block: int, number: int) -> FloatArray:
        return self._weights[f"onnx::MatMul_{_FIRST_MATRIX[block] + number}"]


def _frames(mass: NDArray[np.float64], states: FloatArray) -> Frames:
    """Return the classes' posteriors; a word boundary counts as blank, too."""
    mass = mass + _FLOOR
    mass /= mass.sum(axis=1, keepdims=True)
    boundaries = mass[:, CLASSES]
    posteriors = mass[:, :CLASSES].copy()
    posteriors[:, -1] += boundaries
    return Frames(np.log(posteriors), np.log(boundaries), states)


def package_folder(name: str) -> Path:
    """Return where a package lies, without importing it."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(f"the package {name} is missing: install loqua-speech's dependencies")
    return Path(spec.submodule_search_locations[0])


def _read_weights(packed: bytes) -> dict[str, FloatArray]:
    """Return the tensors of a `.hama` file: an index of name, type, shape and place, then data."""
    if packed[:6] != b"HAMAPK":
        raise ValueError("not a file of hama's weights")
    (count,) = struct.unpack_from("<I", packed, 8)
    index, at = [], 12
    for _ in range(count):
        entry, at = _read_entry(packed, at)
        index.append(entry)
    data = len(packed) - max(offset + size for *_, offset, size in index)
    return {
        name: np.frombuffer(packed, kind, size // np.dtype(kind).itemsize, data + offset)
        .astype(np.float32)
        .reshape(shape)
        for name, kind, shape, offset, size in index
    }


def _read_entry(packed: bytes, at: int) -> tuple[tuple[str, str, tuple[int, ...], int, int], int]:
    (length,) = struct.unpack_from("<H", packed, at)
    name = packed[at + 2 : at + 2 + length].decode()
    at += 2 + length
    kind, dimensions = packed[at], packed[at + 1]
    shape = struct.unpack_from(f"<{dimensions}I", packed, at + 2)
    offset, size = struct.unpack_from("<QQ", packed, at + 2 + 4 * dimensions)
    return (name, "<f2" if kind else "<f4", shape, offset, size), at + 18 + 4 * dimensions


def _softmax(x: NDArray[np.floating]) -> Any:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def _sigmoid(x: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))  # 1 / (1 + exp(-x)) overflows


def _silu(x: FloatArray) -> FloatArray:
    return x * _sigmoid(x)


def _gelu(x: FloatArray) -> FloatArray:
    """Return GELU, its error function as in Abramowitz and Stegun 7.1.26 (error 1.5e-7)."""
    z = np.abs(x) / np.float32(sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.zeros_like(t)
    for term in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = series * t + np.float32(term)
    erf = 1 - series * t * np.exp(-z * z)
    return np.asarray(0.5 * x * (1 + np.sign(x) * erf))
