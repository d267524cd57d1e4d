"""Spectrum, loudness and pitch in frames of 20 ms, like the network's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Acoustics", "loudness", "measure_acoustics", "normalise"]

FloatArray = NDArray[np.float32]

_RATE, _HOP = 16_000, 320
_BANDS, _CEPSTRA = 26, 13
_LOUD = -3.5
"""Log energy, relative to the loud parts, from which a frame counts as speech."""
_VOICED = 0.6
"""Autocorrelation from which a frame counts as voiced."""
_SHORTEST_LAG, _LONGEST_LAG = 32, 270  # 500 to 59 Hz
_ENOUGH = 5
"""Frames needed for a mean or median to be one."""
_LEVEL = 0.1
_MARGIN = 0.3


@dataclass(frozen=True, slots=True)
class Acoustics:
    """Measured frames.

    Attributes:
        cepstra: 13 mel cepstra a frame, without the utterance's mean.
        energy: Log energy relative to the loud parts.
        pitch: Octaves above the speaker's median; 0 where unvoiced.
        voicing: Autocorrelation at the pitch.
        voiced: Whether a frame is voiced speech.
        median_pitch: log2 of the speaker's median pitch in Hz; 7.5 where nothing is voiced.
    """

    cepstra: FloatArray
    energy: FloatArray
    pitch: FloatArray
    voicing: FloatArray
    voiced: NDArray[np.bool_]
    median_pitch: float


def loudness(samples: FloatArray) -> float:
    """Return the mean power of the loud parts: 1 is a square wave at full scale."""
    power = _power(samples)
    return float(np.percentile(power, 95)) if len(power) else 0.0


def normalise(samples: FloatArray) -> tuple[FloatArray, int]:
    """Return what is spoken, with 0.3 s around it, its loud parts at -20 dB, and where it starts.

    The network hears the level, and a head must not learn how long a recorder waited.
    """
    power, loud = _power(samples), loudness(samples) + 1e-12
    heard = np.flatnonzero(power > loud * 10 ** (-30 / 10))
    margin = int(_MARGIN * _RATE)
    start = max(0, int(heard[0]) * _HOP - margin)
    end = (int(heard[-1]) + 1) * _HOP + margin
    return (samples[start:end] * np.float32(_LEVEL / loud**0.5)).astype(np.float32), start


def _power(samples: FloatArray) -> FloatArray:
    count = len(samples) // _HOP
    return np.asarray((samples[: count * _HOP].reshape(count, _HOP) ** 2).mean(axis=1))


def measure_acoustics(samples: FloatArray, frames: int) -> Acoustics:
    """Return that many frames of samples at 16 kHz."""
    cepstra = _cepstra(samples, frames)
    windows = _windows(samples, 640, frames)
    energy = np.log((windows**2).mean(axis=1) + 1e-8)
    energy -= np.percentile(energy, 95)
    speech = energy > _LOUD
    cepstra -= (cepstra[speech] if speech.sum() > _ENOUGH else cepstra).mean(axis=0)
    octaves, voicing = _pitch(windows)
    voiced = (voicing > _VOICED) & speech
    enough = voiced.sum() > _ENOUGH
    median = float(np.median(octaves[voiced])) if enough else 7.5
    pitch = np.where(voiced, octaves - median, 0)
    return Acoustics(cepstra, energy, pitch.astype(np.float32), voicing, voiced, median)


def _cepstra(samples: FloatArray, frames: int) -> FloatArray:
    emphasised = np.append(samples[:1], samples[1:] - np.float32(0.97) * samples[:-1])
    windows = _windows(emphasised, 400, frames) * np.hanning(400).astype(np.float32)
    power = np.abs(np.fft.rfft(windows, 512)) ** 2
    return np.asarray(np.log(power @ _MEL + 1e-7) @ _COSINES, np.float32)


def _pitch(windows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return log2 of the pitch in Hz and its autocorrelation."""
    centred = windows - windows.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred, 2048)) ** 2
    correlation = np.fft.irfft(power, 2048)[:, :300]
    correlation /= correlation[:, :1] + 1e-6
    correlation /= 1 - np.arange(300) / windows.shape[1]
    lags = correlation[:, _SHORTEST_LAG:_LONGEST_LAG]
    best = lags.max(axis=1)
    # The shortest lag that is nearly the best: longer ones are octaves below.
    lag = np.where(best > 0, (lags >= 0.9 * best[:, None]).argmax(axis=1), lags.argmax(axis=1))
    return np.log2(_RATE / (lag + float(_SHORTEST_LAG))).astype(np.float32), best.astype(np.float32)


def _windows(samples: FloatArray, size: int, frames: int) -> FloatArray:
    padded = np.pad(samples, (size // 2, size // 2 + _HOP * (frames + 2)))
    starts = np.arange(frames)[:, None] * _HOP + _HOP // 2
    return np.asarray(padded[starts + np.arange(size)])


def _mel_filters() -> FloatArray:
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (60, 7600))
    edges = 700 * (10 ** (np.linspace(low, high, _BANDS + 2) / 2595) - 1)
    hertz = np.fft.rfftfreq(512, 1 / _RATE)[:, None]
    rising = (hertz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


_MEL = _mel_filters()
_COSINES = (
    np.cos(np.pi / _BANDS * (np.arange(_BANDS)[:, None] + 0.5) * np.arange(_CEPSTRA))
    * np.sqrt(2 / _BANDS)
).astype(np.float32)
