"""Whether a sound is an echo of another."""

import numpy as np
import pytest
from livekit import rtc
from numpy.typing import NDArray

from loqua_host.job.voice.likeness import ROWS_A_SECOND, Energies, Spectrogram, likeness

RATE = 24_000
Sound = NDArray[np.float64]


def speech(seconds: float, seed: int) -> Sound:
    """Return noise whose pitch and loudness change eight times a second, as syllables do."""
    random, syllable = np.random.default_rng(seed), RATE // 8
    parts = []
    for _ in range(round(seconds * 8)):
        tones = random.uniform(200, 3800, size=4)
        time = np.arange(syllable) / RATE
        parts.append(random.uniform(0.05, 1) * np.sin(2 * np.pi * np.outer(tones, time)).sum(0))
    return np.concatenate(parts) * 2_000


def heard_in(sound: Sound, *, rate: int = RATE, frame: int = 480) -> Energies:
    """Return the energies of a sound that comes in frames."""
    spectrogram = Spectrogram(60)
    samples = sound.astype(np.int16)
    for start in range(0, len(samples), frame):
        piece = samples[start : start + frame]
        spectrogram.add(rtc.AudioFrame(piece.tobytes(), rate, 1, len(piece)))
    return spectrogram.latest(60)


SAID = speech(6, seed=1)
CUT = slice(int(2.113 * RATE), int(3.9 * RATE))


def noisy(sound: Sound, decibels: float) -> Sound:
    """Return a sound with white noise so far below it."""
    level = np.sqrt(np.square(sound).mean()) * 10 ** (-decibels / 20)
    return sound + np.random.default_rng(7).normal(scale=level, size=len(sound))


def reverberant(sound: Sound) -> Sound:
    """Return a sound as a room of 0.3 s reflects it."""
    length = int(0.3 * RATE)
    tail = np.random.default_rng(8).normal(size=length) * 10 ** (-3 * np.arange(length) / length)
    tail /= np.linalg.norm(tail)
    tail[0] += 1
    return np.convolve(sound, tail)[: len(sound)]


ECHOES = {
    "soft": SAID[CUT] * 0.1,
    "reverberant": reverberant(SAID * 0.25)[CUT],
    "noisy": noisy(SAID[CUT] * 0.25, 10),
    "past the end": np.append(SAID[-RATE:], np.zeros(RATE // 2)),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
def test_an_echo_is_like_what_was_said(echo: Sound) -> None:
    """However soft, from whatever part of it, and in any room."""
    assert likeness(heard_in(echo), heard_in(SAID)) > 0.7


OTHERS = {
    "other speech": speech(2, seed=2),
    "speech over an echo": SAID[CUT][:RATE] * 0.25 + speech(1, seed=3),
    "noise": noisy(np.zeros(RATE) + 1, -60),
    "backwards": SAID[CUT][::-1],
    "long": speech(9, seed=5),
    "between silences": np.pad(speech(1, seed=6), RATE),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_anything_else_is_not(other: Sound) -> None:
    """The learner who speaks over an echo is heard."""
    assert likeness(heard_in(other), heard_in(SAID)) < 0.6


def test_no_sound_is_like_the_silence_around_what_was_said() -> None:
    """In which there is nothing to compare."""
    assert likeness(heard_in(speech(1.3, seed=20)), heard_in(np.pad(SAID, 3 * RATE))) < 0.6


@pytest.mark.parametrize(
    ("heard", "said"),
    [(SAID[: RATE // 3], SAID), (np.zeros(RATE), SAID), (SAID, SAID[:0]), (SAID[:0], SAID)],
    ids=["one word", "silence", "nothing said", "nothing heard"],
)
def test_what_is_too_short_to_tell_is_like_nothing(heard: Sound, said: Sound) -> None:
    """A word of somebody else's may well sound like a part of some sentence."""
    assert likeness(heard_in(heard), heard_in(said)) == 0


def test_rate_and_frames_do_not_matter() -> None:
    """A microphone has others than a voice."""
    slower = np.interp(np.arange(0, len(SAID), 1.5), np.arange(len(SAID)), SAID)
    assert likeness(heard_in(slower, rate=16_000, frame=333), heard_in(SAID, frame=5_000)) > 0.8


def test_the_latest_sound_is_kept() -> None:
    """From some seconds ago until some seconds ago."""
    spectrogram = Spectrogram(2)
    for loudness in (1, 2, 3):
        piece = (speech(1, seed=4) * loudness / 3).astype(np.int16)
        spectrogram.add(rtc.AudioFrame(piece.tobytes(), RATE, 1, len(piece)))
    assert len(spectrogram.latest(60)) == 2 * ROWS_A_SECOND
    assert len(spectrogram.latest(1.5, 1)) == ROWS_A_SECOND // 2
    assert spectrogram.latest(1).mean() > spectrogram.latest(2, 1).mean()
