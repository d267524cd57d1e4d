"""Whether one sound is heard in another, whatever words a recogniser finds in them."""

from collections import deque
from functools import lru_cache
from itertools import islice
from typing import Final

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

__all__ = ["ROWS_A_SECOND", "Energies", "Spectrogram", "likeness"]

Energies = NDArray[np.float32]
"""The energy of a sound: a row for each 20 ms, a column for each band of frequency."""

ROWS_A_SECOND: Final = 50

_EDGES: Final = np.geomspace(200, 4000, 17)
"""Hz between which most of speech is; even a telephone has most of them."""

_AUDIBLE: Final = 1e-3
"""Ratio of energies, 30 dB: what is softer than the loudest by more does not count."""

_LOUD: Final = 1e-2

_LEAST_SPREAD: Final = 0.3
"""Ratio of a stretch's spread to the sound's, below which the stretch is too quiet to compare."""

_FEWEST_LOUD: Final = ROWS_A_SECOND // 2
"""Rows of a sound that can be told from others: a single word is like some other."""


class Spectrogram:
    """Keep the energies of the latest sound.

    Args:
        seconds: How much is kept.
    """

    def __init__(self, seconds: float) -> None:
        self._rows: deque[Energies] = deque(maxlen=int(seconds * ROWS_A_SECOND))
        self._rest = np.zeros(0, np.float32)
        self._rate = 0

    def add(self, frame: rtc.AudioFrame) -> None:
        """Add a frame of any rate and length."""
        if frame.sample_rate != self._rate:
            self._rate, self._rest = frame.sample_rate, self._rest[:0]
        samples = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
        heard = np.append(self._rest, samples.mean(axis=1, dtype=np.float32))
        length = self._rate // ROWS_A_SECOND
        whole = len(heard) // length * length
        self._rest = heard[whole:]
        if whole:
            self._rows.extend(_energies(heard[:whole].reshape(-1, length), self._rate))

    def latest(self, since: float, until: float = 0.0) -> Energies:
        """Return the energies of the sound from some seconds ago until some seconds ago."""
        end = len(self._rows) - round(until * ROWS_A_SECOND)
        start = len(self._rows) - round(since * ROWS_A_SECOND)
        rows = list(islice(self._rows, max(0, start), max(0, end)))
        return np.array(rows, np.float32).reshape(-1, len(_EDGES) - 1)


def likeness(heard: Energies, said: Energies) -> float:
    """Return how well a sound fits the part of another that it fits best, up to 1.

    Of synthetic voices (tests/bench/echoes.py), an echo in a reverberant room, with noise 10 dB
    below it, has 0.78 or more; other sentences by the same voice, the same words by another one,
    and speech over an echo have 0.57 or less. Less than half a second of sound has 0.
    """
    loudness = heard.sum(axis=1)
    if np.count_nonzero(loudness > loudness.max(initial=0.0) * _LOUD) < _FEWEST_LOUD or not len(
        said
    ):
        return 0.0
    found, length = _levels(heard), len(heard)
    found -= found.mean(axis=0)
    silence = np.full((length, found.shape[1]), np.log(_AUDIBLE))
    levels = np.concatenate((silence, _levels(said), silence))
    together = sum(
        np.correlate(theirs, ours, "valid") for theirs, ours in zip(levels.T, found.T, strict=True)
    )
    own = np.square(found).sum()
    spread = np.sqrt(_spreads(levels, length) * own)
    # In silence both are next to nothing, and their ratio is anything.
    return float(np.max(together / np.maximum(spread, own * _LEAST_SPREAD), initial=0.0))


def _energies(pieces: NDArray[np.float32], rate: int) -> Energies:
    window, bands = _window_and_bands(pieces.shape[1], rate)
    power = np.abs(np.fft.rfft(pieces * window)) ** 2
    return (power @ bands).astype(np.float32)


@lru_cache(maxsize=8)  # each frame needs them, and a session has two rates
def _window_and_bands(length: int, rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the window of a piece, and which frequency belongs to which band."""
    frequencies = np.fft.rfftfreq(length, 1 / rate)[:, None]
    bands = (frequencies >= _EDGES[:-1]) & (frequencies < _EDGES[1:])
    return np.hanning(length), bands.astype(np.float64)


def _levels(energies: Energies) -> NDArray[np.float64]:
    """Return logarithms relative to the loudest, as ears hear."""
    loudest = energies.max(initial=1.0)
    levels: NDArray[np.float64] = np.log(np.maximum(energies / loudest, _AUDIBLE)).astype(float)
    return levels


def _spreads(levels: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return the sum of squares about the mean of each band, of each stretch of a length."""
    sums, squares = (
        np.pad(it.cumsum(axis=0), ((1, 0), (0, 0))) for it in (levels, np.square(levels))
    )
    total, square = (it[length:] - it[:-length] for it in (sums, squares))
    spreads: NDArray[np.float64] = np.maximum((square - np.square(total) / length).sum(axis=1), 0)
    return spreads
