"""Audio conversion."""

import contextlib
import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loqua_speech.audio import _LENIENT, HEARING_RATE, LONGEST_SECONDS, decode, resample, wav
from loqua_speech.errors import UnreadableAudioError


def _tone(hertz: float, *, rate: int, seconds: float = 1.0) -> bytes:
    time = np.arange(int(rate * seconds)) / rate
    return (8000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16).tobytes()


def _encoded(pcm: bytes, container: str, codec: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=48_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, np.int16)[None], "s16", "mono")
        frame.sample_rate = 48_000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("container", "codec"), [("ogg", "libopus"), ("webm", "libopus"), ("flac", "flac")]
)
def test_compressed_audio_is_decoded_to_what_whisper_hears(container: str, codec: str) -> None:
    """A second of audio in any container and at any rate is a second at 16 kHz."""
    audio = decode(_encoded(_tone(440, rate=48_000), container, codec))

    assert abs(len(audio) - HEARING_RATE) < HEARING_RATE // 20
    assert np.abs(audio).max() == pytest.approx(8000 / 32768, rel=0.1)


def test_a_title_in_any_encoding_costs_nothing() -> None:
    """Recorders write what they like beside the sound, such as Latin-1."""
    title = "Übung".encode("latin-1") + b"\0"
    about = b"INFOINAM" + len(title).to_bytes(4, "little") + title
    chunk = b"LIST" + len(about).to_bytes(4, "little") + about
    recorded = wav(_tone(440, rate=16_000), rate=16_000) + chunk
    whole = b"RIFF" + (len(recorded) - 8).to_bytes(4, "little") + recorded[8:]

    with av.open(io.BytesIO(whole), **_LENIENT) as container:
        assert "title" in container.metadata
    assert len(decode(whole)) == HEARING_RATE


def test_an_hour_in_a_small_file_is_refused_while_decoding() -> None:
    """The limit counts what comes out, not what came in."""
    hour = _encoded(bytes(2 * 48_000 * (LONGEST_SECONDS + 5)), "flac", "flac")

    assert len(hour) < 1_000_000
    with pytest.raises(UnreadableAudioError, match=f"longer than {LONGEST_SECONDS} s"):
        decode(hour)


def test_a_rate_that_no_speech_has_is_refused() -> None:
    """A header may claim 1 Hz, which would make minutes of nothing."""
    with pytest.raises(UnreadableAudioError, match="1 Hz"):
        decode(wav(_tone(440, rate=24_000), rate=1))


def test_a_playlist_opens_nothing(tmp_path: object) -> None:
    """FFmpeg could follow a playlist to files and addresses; it is not let."""
    playlist = f"ffconcat version 1.0\nfile {tmp_path}/secret.wav\n".encode()

    with pytest.raises(UnreadableAudioError):
        decode(playlist)


@given(st.binary(max_size=200))
def test_garbage_is_refused_whatever_its_bytes(garbage: bytes) -> None:
    """Bytes that are no audio raise the error that becomes a 400."""
    with pytest.raises(UnreadableAudioError):
        decode(garbage)


@settings(deadline=None)  # of the machine, not of the code
@given(st.integers(0, 60), st.binary(min_size=1, max_size=8))
def test_a_damaged_wav_is_decoded_or_refused(place: int, damage: bytes) -> None:
    """A header with any bytes overwritten raises nothing else."""
    whole = wav(_tone(440, rate=24_000, seconds=0.05), rate=24_000)
    damaged = whole[:place] + damage + whole[place + len(damage) :]

    with contextlib.suppress(UnreadableAudioError):
        assert decode(damaged).ndim == 1


def test_resampling_keeps_the_tone_and_adds_no_image() -> None:
    """6.5 kHz at 16 kHz would mirror to 9.5 kHz: what the filter leaves of it is 60 dB less."""
    pcm = resample(_tone(6500, rate=16_000), rate=16_000, to=24_000)

    samples = np.frombuffer(pcm, np.int16)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    hertz = np.fft.rfftfreq(len(samples), 1 / 24_000)
    tone = spectrum[np.abs(hertz - 6500) < 50].max()
    image = spectrum[np.abs(hertz - 9500) < 50].max()
    assert len(samples) == pytest.approx(24_000, abs=50)
    assert image < tone / 1000
