"""The share of one-word answers that are lost at low volume and in noise.

Run from the project's root with `python -m tests.bench.short_answers`; it needs espeak-ng. SVOX
Pico and, at two speeds, espeak say the words, cut out as the voice activity detection does. Prints
JSON: how many gave no text, and how many the right one, as spoken and 20 dB below, in silence and
with pink noise so many dB below the word.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from loqua_speech.audio import HEARING_RATE, Samples, decode, wav
from loqua_speech.recognition import Whisper
from loqua_speech.voices import SPEAKING_RATE, synthesize, voice_for
from loqua_speech.weights import packaged_weights

PICO = {
    "en-US": "No Yes Two Me Maybe Fine Okay Blue Here",
    "en-GB": "No Yes Ten Sure Please Monday Red Three Right",
    "es-ES": "Sí No Dos Bien Claro Rojo Ana Hoy Tres Vale Verde",
    "fr-FR": "Oui Non Deux Bien Merci Rouge Trois Ici",
    "it-IT": "Sì No Due Bene Grazie Rosso Tre Ecco",
}
ESPEAK = {
    "en-us": "No Yes Four",
    "es": "Sí No Diez",
    "fr": "Oui Non",
    "it": "Sì Due",
}
SPEEDS = (130, 190)
"""Words a minute."""

CONDITIONS = ((0.0, None), (-20.0, None), (-20.0, 20.0), (-20.0, 10.0))
"""Gain and signal-to-noise ratio in dB; None for digital silence around the word."""

BEFORE, AFTER = HEARING_RATE // 2, 3 * HEARING_RATE // 10


@dataclass(frozen=True, slots=True)
class WordClip:
    """A spoken word: its language, text and sound."""

    language: str
    text: str
    sound: Samples


def main() -> None:
    """Measure and print."""
    with packaged_weights() as weights:
        whisper = Whisper(weights, threads=2)
    words = [*_by_pico(), *_by_espeak()]
    report = []
    for gain, ratio in CONDITIONS:
        random = np.random.default_rng(9)
        heard = [
            whisper.transcribe(_cut(it.sound, gain, ratio, random), it.language) for it in words
        ]
        texts = [(it.text, _bare(passage.text)) for it, passage in zip(words, heard, strict=True)]
        report.append(
            {
                "gain": gain,
                "signal_to_noise": ratio,
                "words": len(words),
                "lost": sum(not text for _, text in texts),
                "right": sum(_bare(word) == text for word, text in texts),
            }
        )
    print(json.dumps(report, indent=1))  # noqa: T201  # the result


def _by_pico() -> Iterator[WordClip]:
    for voice, words in PICO.items():
        for word in words.split():
            pcm = b"".join(synthesize(f"{word}.", voice=voice_for(voice)))
            yield WordClip(voice[:2], word, decode(wav(pcm, rate=SPEAKING_RATE)))


def _by_espeak() -> Iterator[WordClip]:
    for voice, words in ESPEAK.items():
        for word in words.split():
            for speed in SPEEDS:
                command = ("espeak-ng", "-v", voice, "-s", str(speed), "--stdout", word)
                sound = subprocess.run(command, capture_output=True, check=True)  # noqa: S603  # ours
                yield WordClip(voice[:2], word, decode(sound.stdout))


def _cut(sound: Samples, gain: float, ratio: float | None, random: np.random.Generator) -> Samples:
    """Return a word with a short silence before and after it, or with noise all over."""
    loud = np.flatnonzero(np.abs(sound) > 0.01)
    word = sound[loud[0] : loud[-1] + 1]
    cut = np.pad(word, (BEFORE, AFTER))
    if ratio is not None:
        spectrum = np.fft.rfft(random.normal(size=len(cut)))
        spectrum /= np.maximum(np.fft.rfftfreq(len(cut), 1 / HEARING_RATE), 20)
        noise = np.fft.irfft(spectrum, len(cut))
        level = np.sqrt(np.square(word).mean() / np.square(noise).mean())
        cut = cut + noise * level * 10 ** (-ratio / 20)
    return (cut * 10 ** (gain / 20)).astype(np.float32)


def _bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


if __name__ == "__main__":
    main()
