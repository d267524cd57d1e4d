"""Detection of the tutor's echo: `python -m tests.bench.echoes`; needs espeak-ng.

SVOX Pico says the openings of the scenarios as their tutor. They come back 12 dB softer, in a
reverberant room, with noise, later, through a network that stretches and shortens them; learners
(espeak, and Pico with other words) speak while the tutor does, and over its echo. Prints JSON: of
each kind how often Whisper hears words in it: as it is, after the host has silenced echoes in what
is the first of them, and in the second; how many percent of a sound pass; and how long it is held
back at most until it is told. `tests/acceptance/
test_heard_by_voice.py` does the same in a room.
"""

import json
import subprocess
from collections.abc import Iterable, Iterator

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

from loqua_host.job.voice.echo_detection import PlayedSound
from loqua_host.job.voice.echo_filter import EchoFilter
from loqua_host.job.voice.microphone import AUDIO_OPTIONS
from loqua_speech.audio import decode, wav
from loqua_speech.recognition import Whisper
from loqua_speech.voices import SPEAKING_RATE, synthesize, voice_for
from loqua_speech.weights import packaged_weights
from loqua_tutor_conversation.scenario import load_scenarios

Sound = NDArray[np.float64]
VOICES = {"en": "en-US", "es": "es", "fr": "fr"}
EVERY = 3
"""Of so many scenarios one is said: half a minute of recognition in all."""

STALLS = (0.5, 0.85)
"""Parts of a sentence after which the network stalls, once, for `STALL_SECONDS`."""

STALL_SECONDS = 0.5
LOUDNESS = 0.25
NOISE_DECIBELS = 10
REVERBERATION_SECONDS = 0.4
LOUDER = 10 ** (10 / 20)
"""A learner who speaks over an echo is 10 dB louder than it."""


FRAME = SPEAKING_RATE * AUDIO_OPTIONS.frame_size_ms // 1000


def main() -> None:
    """Measure and print."""
    with packaged_weights() as weights:
        whisper = Whisper(weights, threads=2)
    random = np.random.default_rng(5)
    counts: dict[str, dict[str, int]] = {}
    for scenario in load_scenarios()[::EVERY]:
        turn = scenario.turns[0]
        said = _pico(f"{scenario.opening} {turn.ask}", scenario.language)
        heard = _heard(said, turn.ask, turn.model, scenario.language, random)
        for kind, (before, sound) in heard:
            passes, _ = _passed((before, sound), said)
            first, latest = _passed((sound,), said)
            found = {
                "with words": bool(_words(whisper, sound, scenario.language)),
                "with words the first time": bool(_words(whisper, first, scenario.language)),
                "with words after": bool(_words(whisper, passes, scenario.language)),
                "percent passed the first time": round(100 * _energy(first) / _energy(sound)),
                "percent passed": round(100 * _energy(passes) / _energy(sound)),
                "milliseconds held": round(1000 * latest),
            }
            count = counts.setdefault(kind, dict.fromkeys(("said", *found), 0))
            count["said"] += 1
            for name, number in found.items():
                count[name] += number
    for count in counts.values():
        for name in ("percent passed the first time", "percent passed", "milliseconds held"):
            count[name] //= count["said"]
    print(json.dumps(counts, indent=1))  # noqa: T201  # the result


def _heard(
    said: Sound, question: str, answer: str, language: str, random: np.random.Generator
) -> Iterator[tuple[str, tuple[Sound, Sound]]]:
    """Yield kinds of what the microphone hears while the tutor speaks, and what it heard before."""
    echo = _after(0.3, _reverberant(said, random) * LOUDNESS)
    echoes = {
        "echo": echo,
        "echo in noise": _noisy(echo, random),
        "echo after 0.8 s": _after(0.5, echo),
        "echo by an unsteady network": _unsteady(echo, random),
    }
    for kind, sound in echoes.items():
        yield kind, (sound, sound)
    for part in STALLS:
        yield f"echo whose network stalls after {part:.0%}", (echo, _stalled(echo, part))
    learners = {
        "learner": _espeak(answer, language),
        "learner with the tutor's voice": _pico(answer, language),
        "learner who repeats the tutor": _espeak(question, language),
    }
    for kind, learner in learners.items():
        yield kind, (_after(0.5, learner), _after(0.5, learner))
    over = np.resize(np.append(echo, np.zeros(SPEAKING_RATE)), len(learners["learner"]))
    level = np.sqrt(_energy(learners["learner"]) / _energy(over)) / LOUDER
    yield "learner over an echo", (over * level, learners["learner"] + over * level)


def _passed(sounds: Iterable[Sound], said: Sound) -> tuple[Sound, float]:
    """Return what passes of the last of these sounds, each heard while the tutor says the same.

    And the longest time in seconds for which a frame of any of them was held back.
    """
    echo_filter, played, now, latest = EchoFilter(), PlayedSound(), 0.0, 0.0
    for heard in sounds:
        for frame in _frames(said):
            played.add(frame, now)
        passed: list[Sound] = []
        for number, frame in enumerate(_frames(np.append(heard, np.zeros(len(said)))), 1):
            now += frame.duration
            told = echo_filter.add(frame, played, now)
            passed += [np.frombuffer(it.data, np.int16).astype(float) for it in told]
            latest = max(latest, (number - len(passed)) * frame.duration)
    return np.concatenate(passed)[: len(heard)], latest


def _frames(sound: Sound) -> Iterator[rtc.AudioFrame]:
    samples = np.clip(sound, -32_768, 32_767).astype(np.int16)
    for start in range(0, len(samples) - FRAME + 1, FRAME):
        piece = samples[start : start + FRAME]
        yield rtc.AudioFrame(piece.tobytes(), SPEAKING_RATE, 1, FRAME)


def _words(whisper: Whisper, sound: Sound, language: str) -> str:
    return whisper.transcribe(
        decode(wav(sound.astype("<i2").tobytes(), rate=SPEAKING_RATE)), language
    ).text


def _energy(sound: Sound) -> float:
    return float(np.square(sound).mean())


def _after(seconds: float, sound: Sound) -> Sound:
    return np.append(np.zeros(round(seconds * SPEAKING_RATE)), sound)


def _unsteady(sound: Sound, random: np.random.Generator) -> Sound:
    """Return a sound of which 10 to 40 ms are left out, or added, once a second or so."""
    pieces = []
    for piece in np.array_split(sound, max(1, len(sound) // SPEAKING_RATE)):
        change = int(random.uniform(0.01, 0.04) * SPEAKING_RATE)
        is_longer = random.random() < 0.5
        pieces.append(np.append(piece, np.zeros(change)) if is_longer else piece[:-change])
    return np.concatenate(pieces)


def _stalled(sound: Sound, part: float) -> Sound:
    """Return a sound of which all but a first part comes later."""
    before, rest = np.split(sound, [round(part * len(sound))])
    stalled: Sound = np.concatenate([before, np.zeros(round(STALL_SECONDS * SPEAKING_RATE)), rest])
    return stalled


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
