"""The share of the demo's lines that the recogniser transcribes word for word.

Run `uv run python tests/bench/demo_recognition.py [times]`; the default is 50 times. It prints how
often each line was recognised correctly, and fails if any line was misrecognised. Each time has its
own level, noise, leading pause and bit rate of Opus, as lessons do.
"""

import io
import re
import sys
from fractions import Fraction

import av
import numpy as np

from loqua_host.dev.scripts import LESSONS
from loqua_speech.audio import Samples, decode
from loqua_speech.recognition import Whisper
from loqua_speech.voices import SPEAKING_RATE, synthesize, voice_for
from loqua_speech.weights import packaged_weights


def main(times: int) -> bool:
    """Measure each line and return whether all were always heard right."""
    with packaged_weights() as weights:
        whisper = Whisper(weights, threads=2)
    always = True
    for lesson in LESSONS:
        for line in lesson.lines:
            pcm = b"".join(synthesize(line, voice=voice_for(lesson.language)))
            sound = np.frombuffer(pcm, np.int16).astype(np.float32) / 32768
            heard = [
                whisper.transcribe(
                    _received(sound, np.random.default_rng(seed)), lesson.language
                ).text
                for seed in range(times)
            ]
            wrong = {text for text in heard if _words(text) != _words(line)}
            right = sum(_words(text) == _words(line) for text in heard)
            always &= not wrong
            print(f"{right}/{times}  {line}", *sorted(wrong), sep="  ")  # noqa: T201  # the result
    return always


def _received(sound: Samples, random: np.random.Generator) -> Samples:
    """Return how a line arrives: at another level, over a noise, by way of Opus."""
    pause = np.zeros(int(random.uniform(0.1, 0.6) * SPEAKING_RATE), np.float32)
    whole = np.concatenate((pause, sound * 10 ** (random.uniform(-12, 3) / 20), pause))
    noise = random.normal(0, 10 ** (random.uniform(-70, -50) / 20), len(whole))
    pcm = (np.clip(whole + noise, -1, 1) * 32767).astype(np.int16)
    return decode(_opus(pcm, int(random.choice([16_000, 24_000, 32_000, 48_000]))))


def _opus(pcm: np.ndarray, bit_rate: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=SPEAKING_RATE, layout="mono")
        stream.bit_rate = bit_rate
        frame = av.AudioFrame.from_ndarray(pcm[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.time_base = SPEAKING_RATE, Fraction(1, SPEAKING_RATE)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


if __name__ == "__main__":
    sys.exit(0 if main(int(sys.argv[1]) if sys.argv[1:] else 50) else 1)
