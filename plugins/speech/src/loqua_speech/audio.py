"""Audio conversion: uploads to 16 kHz floats, resampling, and WAV output."""

import io
import wave
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from loqua_speech.errors import UnreadableAudioError

Samples = NDArray[np.float32]
"""Mono samples in [-1, 1]."""

HEARING_RATE = 16_000
"""The sample rate, in Hz, that Whisper hears at."""

LONGEST_SECONDS = 120
"""An upload may be this long: a learner's turn is seconds, and all lessons share two cores."""

_RATES = range(4_000, 192_001)  # from odder ones the resampler works for seconds

# Of FFmpeg's formats only files that hold their own sound: a playlist would have it open the
# files and addresses that the playlist names.
_CONTAINERS = "aac,aiff,caf,flac,matroska,webm,mov,mp3,ogg,w64,wav"

# For titles that are not UTF-8: PyAV 18, the last for Python 3.11, needs the argument. PyAV 19,
# where it is the default, does not accept it.
_LENIENT: dict[str, Any] = {"metadata_errors": "ignore"} if av.__version__.startswith("18.") else {}


def decode(upload: bytes) -> Samples:
    """Return the upload's first audio stream as mono at `HEARING_RATE`.

    Raises:
        UnreadableAudioError: Not audio, of a kind that is not accepted, or too long.
    """
    try:
        with av.open(
            io.BytesIO(upload),
            mode="r",
            container_options={"format_whitelist": _CONTAINERS, "protocol_whitelist": ""},
            **_LENIENT,
        ) as container:
            if not container.streams.audio:
                raise UnreadableAudioError("the file holds no audio: send WAV, FLAC or Ogg")
            frames = container.decode(container.streams.audio[0])
            pcm = _joined(_resampled(_plausible(frames), HEARING_RATE))
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise UnreadableAudioError(
            f"the file cannot be decoded as audio ({error}): send WAV, FLAC or Ogg"
        ) from error
    return pcm.astype(np.float32) / np.float32(32768)


def resample(pcm: bytes, *, rate: int, to: int) -> bytes:
    """Return mono 16-bit samples at another rate, by FFmpeg's polyphase filter."""
    frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, np.int16)[None], "s16", "mono")
    frame.sample_rate = rate
    return b"".join(chunk.tobytes() for chunk in _resampled([frame], to))


def wav(pcm: bytes, *, rate: int) -> bytes:
    """Return mono 16-bit samples as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(pcm)
    return file.getvalue()


def _plausible(frames: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    for frame in frames:
        if frame.sample_rate not in _RATES:
            raise UnreadableAudioError(f"{frame.sample_rate} Hz is no sample rate of speech")
        yield frame


def _resampled(frames: Iterable[av.AudioFrame], rate: int) -> Iterator[NDArray[np.int16]]:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
    for frame in chain(frames, [None]):  # None flushes the filter
        for resampled in resampler.resample(frame):
            yield resampled.to_ndarray()[0]


def _joined(chunks: Iterable[NDArray[np.int16]]) -> NDArray[np.int16]:
    """Return one array of all chunks; count while decoding, because a small file can hold hours."""
    kept = [np.zeros(0, np.int16)]
    length = 0
    for chunk in chunks:
        length += len(chunk)
        if length > LONGEST_SECONDS * HEARING_RATE:
            raise UnreadableAudioError(f"the audio is longer than {LONGEST_SECONDS} s: send turns")
        kept.append(chunk)
    return np.concatenate(kept)
