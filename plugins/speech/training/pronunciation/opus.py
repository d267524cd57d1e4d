"""The loss of accuracy by Opus, LiveKit's audio codec."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np

from loqua_speech.audio import HEARING_RATE, Samples
from loqua_speech.pronunciation.head import UTTERANCE_SCORES, Head
from training.pronunciation.corpus import CorpusUtterance
from training.pronunciation.reading import score_samples

__all__ = ["render_opus", "through_opus"]

_EVERY = 12
"""Every twelfth utterance of a split: 209."""

_BITS = (48_000, 24_000)
"""Bits a second: the presets of livekit-client for microphones and for speech."""

_OPUS_RATE = 48_000
_FRAME = _OPUS_RATE // 50


def render_opus(corpus: Path, utterances: Sequence[CorpusUtterance]) -> str:
    """Return a Markdown table of the packaged head's agreement with experts, with and without Opus.

    It is the codec alone, without a network that loses packets.
    """
    head, chosen = Head.packaged(), utterances[::_EVERY]
    samples = [it.samples(corpus) for it in chosen]
    lines = [
        f"| {len(chosen)} utterances | phone | word total | utterance total | fluency | prosody |",
        "|---|---|---|---|---|---|",
        _row("as recorded", head, chosen, samples),
    ]
    for bits in _BITS:
        after = [through_opus(it, bits) for it in samples]
        lines.append(_row(f"Opus, {bits // 1000} kbit/s", head, chosen, after))
    return "\n".join(lines)


def through_opus(samples: Samples, bits: int) -> Samples:
    """Return mono sound at 16 kHz after Opus at 48 kHz, in frames of 20 ms.

    Args:
        samples: The sound.
        bits: Bits a second.
    """
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = _OPUS_RATE, "mono"
    back = av.AudioResampler(format="flt", layout="mono", rate=HEARING_RATE)
    decoded = [it for packet in _packets(samples, bits) for it in decoder.decode(packet)]
    parts = [part.to_ndarray()[0] for it in [*decoded, None] for part in back.resample(it)]
    return np.concatenate(parts)[: len(samples)].astype(np.float32)


def _packets(samples: Samples, bits: int) -> Iterator[av.Packet]:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = _OPUS_RATE, "mono", "flt"
    encoder.bit_rate, encoder.options = bits, {"application": "voip", "frame_duration": "20"}
    up = av.AudioResampler(format="flt", layout="mono", rate=_OPUS_RATE, frame_size=_FRAME)
    sound = av.AudioFrame.from_ndarray(samples[None], "flt", "mono")
    sound.sample_rate = HEARING_RATE
    for frame in [*up.resample(sound), *up.resample(None)]:
        frame.pts = None
        yield from encoder.encode(frame)
    yield from encoder.encode(None)


def _row(
    name: str, head: Head, utterances: Sequence[CorpusUtterance], samples: Sequence[Samples]
) -> str:
    pairs = zip(samples, utterances, strict=True)
    scores = [score_samples(head, sound, utterance) for sound, utterance in pairs]
    total, fluency, prosody = map(UTTERANCE_SCORES.index, ("total", "fluency", "prosody"))
    whole = np.array([it.utterance for it in scores]), np.array([it.scores for it in utterances])
    measured = [
        _correlation([it.phones for it in scores], [it.phones for it in utterances]),
        _correlation([it.words[:, -1] for it in scores], [it.words[:, -1] for it in utterances]),
        *(
            _correlation(whole[0][:, column, None], whole[1][:, column, None])
            for column in (total, fluency, prosody)
        ),
    ]
    return f"| {name} | {' | '.join(f'{value:.3f}' for value in measured)} |"


def _correlation(predicted: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    one, other = np.concatenate(predicted), np.concatenate(expected)
    known = ~np.isnan(other)
    return float(np.corrcoef(one[known], other[known])[0, 1])
