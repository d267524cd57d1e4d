"""Detection of the tutor's echo: `python -m tests.bench.echoes`; needs espeak-ng.

SVOX Pico says the openings of the scenarios as their tutor. Parts of 0.8 to 3 s come back 12 dB
softer, in a reverberant room, with noise; learners (espeak, and Pico with other words) speak while
the tutor does. Prints JSON: of each kind how many Whisper hears words in, and how many are taken
for an echo by these words, by the sound, and by either, as the host does.
"""

import json
import subprocess
from collections.abc import Iterator

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

from loqua_host.job.voice.likeness import Energies, Spectrogram, likeness
from loqua_host.job.voice.own_voice import KEPT_SECONDS, LIKENESS, SHARE, share_of
from loqua_speech.audio import decode, wav
from loqua_speech.recognition import Whisper
from loqua_speech.voices import SPEAKING_RATE, synthesize, voice_for
from loqua_speech.weights import packaged_weights
from loqua_tutor_conversation.scenario import load_scenarios

Sound = NDArray[np.float64]
VOICES = {"en": "en-US", "es": "es", "fr": "fr"}
EVERY = 3
"""Of so many scenarios one is said: half a minute of recognition in all."""

LOUDNESS = 0.25
NOISE_DECIBELS = 10
REVERBERATION_SECONDS = 0.4
LOUDER = 10 ** (10 / 20)
"""A learner who speaks over an echo is 10 dB louder than it."""


def main() -> None:
    """Measure and print."""
    with packaged_weights() as weights:
        whisper = Whisper(weights, threads=2)
    random = np.random.default_rng(5)
    counts: dict[str, dict[str, int]] = {}
    for scenario in load_scenarios()[::EVERY]:
        turn = scenario.turns[0]
        text = f"{scenario.opening} {turn.ask}"
        said = _pico(text, scenario.language)
        reference = _energies(said)
        for kind, sound in _heard(said, turn.ask, turn.model, scenario.language, random):
            heard = decode(wav(sound.astype("<i2").tobytes(), rate=SPEAKING_RATE))
            words = whisper.transcribe(heard, scenario.language).text
            by_words = share_of(words, text) >= SHARE
            by_sound = likeness(_energies(sound), reference) >= LIKENESS
            found = {"heard": bool(words), "words": by_words, "sound": by_sound}
            found["either"] = bool(words) and (by_words or by_sound)
            count = counts.setdefault(kind, dict.fromkeys(("said", *found), 0))
            count["said"] += 1
            for name, is_so in found.items():
                count[name] += is_so
    print(json.dumps(counts, indent=1))  # noqa: T201  # the result


def _heard(
    said: Sound, question: str, answer: str, language: str, random: np.random.Generator
) -> Iterator[tuple[str, Sound]]:
    """Yield kinds of what the microphone hears while the tutor speaks."""
    seconds = len(said) / SPEAKING_RATE
    start = random.uniform(0, max(0.01, seconds - 1.5))
    part = slice(int(start * SPEAKING_RATE), int((start + random.uniform(0.8, 3)) * SPEAKING_RATE))
    echo = _reverberant(said, random) * LOUDNESS
    yield "echo", echo[part]
    yield "echo in noise", _noisy(echo[part], random)
    learner = _espeak(answer, language)
    yield "learner", learner
    yield "learner with the tutor's voice", _pico(answer, language)
    yield "learner who repeats the tutor", _espeak(question, language)
    over = np.resize(np.append(echo[part], np.zeros(SPEAKING_RATE)), len(learner))
    level = np.sqrt(np.square(learner).mean() / np.square(over).mean()) / LOUDER
    yield "learner over an echo", learner + over * level


def _energies(sound: Sound) -> Energies:
    spectrogram = Spectrogram(KEPT_SECONDS)
    samples = np.clip(sound, -32_768, 32_767).astype(np.int16)
    spectrogram.add(rtc.AudioFrame(samples.tobytes(), SPEAKING_RATE, 1, len(samples)))
    return spectrogram.latest(KEPT_SECONDS)


def _pico(text: str, language: str) -> Sound:
    pcm = b"".join(synthesize(text, voice=voice_for(VOICES[language])))
    return np.frombuffer(pcm, np.int16).astype(float)


def _espeak(text: str, language: str) -> Sound:
    command = ("espeak-ng", "-v", language, "-s", "150", "--stdout", text)
    spoken = decode(subprocess.run(command, capture_output=True, check=True).stdout)  # noqa: S603  # ours
    at = np.arange(0, len(spoken), 16_000 / SPEAKING_RATE)
    return np.interp(at, np.arange(len(spoken)), spoken) * 16_000


def _reverberant(sound: Sound, random: np.random.Generator) -> Sound:
    length = int(REVERBERATION_SECONDS * SPEAKING_RATE)
    room = random.normal(size=length) * 10 ** (-3 * np.arange(length) / length)
    room /= np.linalg.norm(room)
    room[0] += 1
    size = len(sound) + length - 1
    reflected: Sound = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(room, size), size)
    return reflected[: len(sound)]


def _noisy(sound: Sound, random: np.random.Generator) -> Sound:
    level = np.sqrt(np.square(sound).mean()) * 10 ** (-NOISE_DECIBELS / 20)
    return sound + random.normal(scale=level, size=len(sound))


if __name__ == "__main__":
    main()
