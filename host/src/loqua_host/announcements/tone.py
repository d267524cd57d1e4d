"""The tone before an announcement, played alone if no voice is available."""

import math
from array import array
from collections.abc import Iterator
from functools import cache

from .messages import Sound

__all__ = ["after_tone"]

RATE = 24_000
NOTES = (660.0, 880.0)
NOTE_SECONDS = 0.22
PAUSE_SECONDS = 0.15
LOUDNESS = 0.25


def after_tone(sound: Sound | None) -> Sound:
    """Return a sound with the tone before it, or the tone alone."""
    rate = sound.rate if sound else RATE
    return Sound(rate=rate, samples=_tone(rate) + (sound.samples if sound else b""))


@cache
def _tone(rate: int) -> bytes:
    return array("h", _samples(rate)).tobytes()


def _samples(rate: int) -> Iterator[int]:
    """Return two notes that fade out, and a pause."""
    length = int(NOTE_SECONDS * rate)
    for note in NOTES:
        for number in range(length):
            fading = min(1.0, number / (0.01 * rate)) * (1 - number / length) ** 2
            wave = math.sin(2 * math.pi * note * number / rate)
            yield int(32_767 * LOUDNESS * fading * wave)
    yield from (0 for _ in range(int(PAUSE_SECONDS * rate)))
