"""Pauses in synthesised speech, adjusted to what listeners expect.

SVOX Pico is silent for 0.6 s before a sentence that begins with "¿" or "¡", and for 0.5 s after
every sentence: learners take the pause between two for the end and begin to talk.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["limit_silence"]

LEADING = 0.05
"""Seconds of silence before a sentence, at most."""

WITHIN = 0.4
"""Seconds of silence within a sentence, at most."""

TRAILING = 0.3
"""Seconds of silence after a sentence, so that the next one follows as in speech."""

_WINDOW = 0.01
_LOUDEST_SILENCE = 200
"""Of 32,767: a window of samples below it holds no speech."""


def limit_silence(pcm: bytes, rate: int) -> bytes:
    """Return a sentence with no long silence before or in it, and `TRAILING` seconds after it.

    Args:
        pcm: Mono 16-bit samples.
        rate: Samples a second.
    """
    samples = np.frombuffer(pcm, np.int16)
    window = int(rate * _WINDOW)
    spoken = np.flatnonzero(_loudness(samples, window) >= _LOUDEST_SILENCE)
    if not len(spoken):
        return pcm
    parts = [samples[max(0, int(spoken[0]) * window - int(LEADING * rate)) : spoken[0] * window]]
    breaks = np.flatnonzero(np.diff(spoken) * _WINDOW > WITHIN)
    # Speech from the end of one long silence to the beginning of the next, each cut short.
    edges = [0, *(breaks + 1), len(spoken)]
    keep = int(WITHIN * rate)
    for first, after in pairwise(edges):
        end = (int(spoken[after - 1]) + 1) * window
        parts.append(
            samples[int(spoken[first]) * window : end + (keep if after < len(spoken) else 0)]
        )
    parts.append(np.zeros(int(TRAILING * rate), np.int16))
    return np.concatenate(parts).tobytes()


def _loudness(samples: NDArray[np.int16], window: int) -> NDArray[np.int32]:
    """Return the loudest sample of each window; the last one may be short."""
    padded = np.pad(samples.astype(np.int32), (0, -len(samples) % window))
    loudest: NDArray[np.int32] = np.abs(padded).reshape(-1, window).max(axis=1)
    return loudest
