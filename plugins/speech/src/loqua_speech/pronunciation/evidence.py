"""Measurements of an utterance, the input of the trained heads."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loqua_speech.pronunciation.acoustics import Acoustics, measure_acoustics
from loqua_speech.pronunciation.alignment import Alignment, replacement_likelihoods
from loqua_speech.pronunciation.edits import Edits, edit
from loqua_speech.pronunciation.lexicon import ReferenceWord
from loqua_speech.pronunciation.network import Frames
from loqua_speech.pronunciation.phones import BLANK, OTHER, PHONE_NUMBERS, TRAITS, IntArray

__all__ = ["Columns", "Evidence", "average_over_phones", "measure", "phone_numbers"]

FloatArray = NDArray[np.float64]
Columns = dict[str, FloatArray]

_LOWEST = -12.0
_LONGEST_GAP = 50  # frames: a second
_REACH = 8  # frames around a phone's own that are its own as well
_PAUSE, _LONG_PAUSE = 15, 30  # frames
_NETWORK_RATE_HOP = 320


@dataclass(frozen=True, slots=True)
class Evidence:
    """The measurements of one utterance against a text.

    Attributes:
        phones: Classes of the text's phones.
        words: Which word each phone belongs to.
        starts: First frame of each phone; frames are 20 ms.
        ends: Last frame of each phone.
        columns: Measurements of phones by name, one value a phone.
        states: The network's hidden states, averaged over each phone.
        utterance: Measurements of the whole by name.
    """

    phones: IntArray
    words: IntArray
    starts: IntArray
    ends: IntArray
    columns: Columns
    states: NDArray[np.float32]
    utterance: dict[str, float]


def phone_numbers(text: Sequence[ReferenceWord]) -> IntArray:
    """Return the classes of a text's phones."""
    return np.array([PHONE_NUMBERS[phone] for word in text for phone in word.phones])


def measure(
    samples: NDArray[np.float32],
    frames: Frames,
    alignment: Alignment,
    text: Sequence[ReferenceWord],
) -> Evidence:
    """Return the measurements of normalised samples against a text.

    Args:
        samples: What was said, at 16 kHz.
        frames: What the network hears in them.
        alignment: The text's phones along the frames.
        text: One word or more.
    """
    phones = alignment.phones
    words = np.repeat(np.arange(len(text)), [len(word.phones) for word in text])
    stress = np.array([digit for word in text for digit in word.stress], float)
    likelihoods = replacement_likelihoods(alignment)
    posteriors = likelihoods - np.logaddexp.reduce(likelihoods, axis=1, keepdims=True)
    segments = _segments(alignment)
    acoustics = measure_acoustics(samples, len(samples) // _NETWORK_RATE_HOP + 1)
    heard = edit(phones, _greedy(alignment.log_posteriors))
    columns = (
        _goodness(alignment, posteriors, likelihoods)
        | _frame_columns(alignment, segments)
        | _boundary_columns(alignment, frames, segments)
        | _edit_columns(heard)
        | _place_columns(words, stress, phones)
        | _acoustic_columns(acoustics, segments)
    )
    columns |= _word_columns(columns, words)
    utterance = _utterance(alignment, columns, segments, heard, len(text)) | _melody(acoustics)
    return Evidence(
        phones,
        words,
        segments.starts,
        segments.ends,
        columns,
        average_over_phones(frames.states, segments.starts, segments.ends),
        utterance,
    )


@dataclass(frozen=True, slots=True)
class _Segments:
    """The frames of phones: those of the best path, and a window around them."""

    starts: IntArray
    ends: IntArray
    first: IntArray
    after: IntArray

    @property
    def gaps(self) -> IntArray:
        """Frames between each phone and the next."""
        return self.starts[1:] - self.ends[:-1] - 1


def _segments(alignment: Alignment) -> _Segments:
    count, length = len(alignment.phones), len(alignment.path)
    own = [np.flatnonzero(alignment.path == 2 * phone + 1) for phone in range(count)]
    starts, ends = (np.array([frames[side] for frames in own]) for side in (0, -1))
    return _Segments(starts, ends, *_windows(starts, ends, length))


def _windows(starts: IntArray, ends: IntArray, length: int) -> tuple[IntArray, IntArray]:
    """Return the first frames around phones, and those after the last: halfway to the next."""
    middles = (ends[:-1] + starts[1:] + 1) // 2
    first = np.maximum(np.append(0, middles), starts - _REACH)
    after = np.minimum(np.append(middles, length), ends + _REACH + 1)
    return first, np.maximum(after, first + 1)


def _goodness(alignment: Alignment, posteriors: FloatArray, likelihoods: FloatArray) -> Columns:
    phones = alignment.phones
    rows = np.arange(len(phones))
    own = posteriors[rows, phones]
    others = posteriors.copy()
    others[rows, phones] = -np.inf
    rival = others.argmax(axis=1)
    gain = likelihoods[rows, rival] - alignment.likelihood
    columns = {
        "own": _clipped(own),
        "own_probability": np.exp(own),
        "margin": np.clip(own - others.max(axis=1), -12, 12),
        "rival": rival.astype(float),
        "rival_gain": np.clip(gain, -15, 30),
        "left_out": _clipped(posteriors[:, -1]),
        "occupancy": _occupancy(alignment),
    }
    return columns | {
        f"posterior_{number}": _clipped(posteriors[:, number]) for number in range(BLANK + 1)
    }


def _occupancy(alignment: Alignment) -> FloatArray:
    """Return how many frames each phone is expected to last."""
    emissions = alignment.log_posteriors[:, alignment.phones]
    both = alignment.forward[:, 1::2] + alignment.backward[:, 1::2]
    return np.asarray(np.exp(both - emissions - alignment.likelihood).sum(axis=0))


def _frame_columns(alignment: Alignment, segments: _Segments) -> Columns:
    """Return what the frames around each phone say, without regard to its neighbours."""
    logs = alignment.log_posteriors
    mass = np.exp(logs)
    entropy = -(mass * logs).sum(axis=1)
    phones = alignment.phones
    rows = np.arange(len(phones))
    windows = [slice(*edges) for edges in zip(segments.first, segments.after, strict=True)]
    spans = [slice(s, e + 1) for s, e in zip(segments.starts, segments.ends, strict=True)]
    highest = np.array([logs[window, :BLANK].max(axis=0) for window in windows])
    total = np.log(np.array([mass[window, :BLANK].sum(axis=0) for window in windows]) + 1e-4)
    columns = {
        "span_mean": _clipped(_each(logs, spans, phones, np.mean)),
        "span_highest": _clipped(_each(logs, spans, phones, np.max)),
        "window_highest": _clipped(highest[rows, phones]),
        "window_total": total[rows, phones],
        "window_entropy": np.array([entropy[window].mean() for window in windows]),
        "span_entropy": np.array([entropy[span].mean() for span in spans]),
        "window_blank": np.array([mass[window, BLANK].mean() for window in windows]),
        "span": (segments.ends - segments.starts + 1).astype(float),
        "window": (segments.after - segments.first).astype(float),
    }
    return columns | {f"highest_{number}": _clipped(highest[:, number]) for number in range(BLANK)}


def _each(logs: FloatArray, spans: list[slice], phones: IntArray, reduce: object) -> FloatArray:
    assert callable(reduce)  # noqa: S101
    return np.array([reduce(logs[span, p]) for span, p in zip(spans, phones, strict=True)])


def _boundary_columns(alignment: Alignment, frames: Frames, segments: _Segments) -> Columns:
    length = len(alignment.path)
    boundaries = np.full(length, -10.0)
    boundaries[: len(frames.boundaries)] = frames.boundaries
    since = np.append(0, segments.ends[:-1])
    highest = [
        boundaries[start : end + 1].max() for start, end in zip(since, segments.starts, strict=True)
    ]
    before = np.append(segments.starts[0], segments.gaps)
    after = np.append(segments.gaps, length - 1 - segments.ends[-1])
    return {
        "gap_before": np.minimum(before, _LONGEST_GAP).astype(float),
        "gap_after": np.minimum(after, _LONGEST_GAP).astype(float),
        "boundary": _clipped(np.array(highest)),
    }


def _edit_columns(heard: Edits) -> Columns:
    return {
        "edit": heard.operations.astype(float),
        "inserted_before": heard.insertions[:-1].astype(float),
        "inserted_after": heard.insertions[1:].astype(float),
    }


def _place_columns(words: IntArray, stress: FloatArray, phones: IntArray) -> Columns:
    lengths = np.bincount(words)
    position = np.concatenate([np.arange(length) for length in lengths]).astype(float)
    length = lengths[words].astype(float)
    return {
        "position": position,
        "position_from_end": length - position - 1,
        "word_length": length,
        "stress": stress,
        "vowel": TRAITS[phones, 0],
        "relative_position": np.arange(len(words)) / len(words),
    }


def _acoustic_columns(acoustics: Acoustics, segments: _Segments) -> Columns:
    last = len(acoustics.energy) - 1
    spans = [
        slice(min(first, last), max(min(after, last + 1), min(first, last) + 1))
        for first, after in zip(segments.first, segments.after, strict=True)
    ]
    means = np.array([acoustics.cepstra[span].mean(axis=0) for span in spans])
    slopes = np.array([_slope(acoustics.cepstra[span]) for span in spans])
    columns = {
        "energy": np.array([acoustics.energy[span].mean() for span in spans]),
        "energy_highest": np.array([acoustics.energy[span].max() for span in spans]),
        "pitch": np.array([_voiced_pitch(acoustics, span) for span in spans]),
        "voicing": np.array([acoustics.voicing[span].mean() for span in spans]),
    }
    columns |= {f"cepstrum_{number}": means[:, number] for number in range(means.shape[1])}
    return columns | {f"slope_{number}": slopes[:, number] for number in range(slopes.shape[1])}


def _slope(cepstra: NDArray[np.float32]) -> NDArray[np.float32]:
    half = max(1, len(cepstra) // 2)
    return np.asarray(cepstra[-half:].mean(axis=0) - cepstra[:half].mean(axis=0))


def _voiced_pitch(acoustics: Acoustics, span: slice) -> float:
    voiced = acoustics.voiced[span]
    return float(acoustics.pitch[span][voiced].mean()) if voiced.any() else 0.0


def _word_columns(columns: Columns, words: IntArray) -> Columns:
    lengths = np.bincount(words)
    own, wrong = columns["own"], columns["edit"] > 0
    lowest = np.minimum.reduceat(own, np.append(0, np.cumsum(lengths)[:-1]))
    return {
        "word_own": (np.bincount(words, own) / lengths)[words],
        "word_lowest": lowest[words],
        "word_wrong": (np.bincount(words, wrong) / lengths)[words],
    }


def average_over_phones(
    states: NDArray[np.float32], starts: IntArray, ends: IntArray
) -> NDArray[np.float32]:
    """Return the means of states around each phone, one row a phone.

    Args:
        states: One row every 20 ms.
        starts: The first frame of each phone.
        ends: The last frame of each phone.
    """
    last = len(states) - 1
    windows = zip(*_windows(starts, ends, len(states)), strict=True)
    return np.array(
        [
            states[min(first, last) : max(after, min(first, last) + 1)].mean(axis=0)
            for first, after in windows
        ]
    )


def _utterance(
    alignment: Alignment, columns: Columns, segments: _Segments, heard: Edits, words: int
) -> dict[str, float]:
    own, gaps = columns["own"], np.append(segments.gaps, 0)
    phones, frames = len(own), len(alignment.path)
    spoken = float(segments.ends[-1] - segments.starts[0] + 1)
    free = float(alignment.log_posteriors.max(axis=1).sum()) - alignment.best
    steps = np.diff(segments.starts) if phones > 1 else np.zeros(1)
    values = {
        "own_mean": own.mean(),
        "own_median": np.median(own),
        "own_deviation": own.std(),
        "own_probability": columns["own_probability"].mean(),
        "poor": (own < -1).mean(),
        "bad": (own < -3).mean(),  # noqa: PLR2004 nats
        "lowest_quarter": np.sort(own)[: max(1, phones // 4)].mean(),
        "likelihood_per_frame": alignment.likelihood / frames,
        "likelihood_per_phone": alignment.likelihood / phones,
        "best_per_phone": alignment.best / phones,
        "free_per_phone": free / phones,
        "free_per_frame": free / frames,
        "errors": heard.distance / phones,
        "replaced": (heard.operations == 1).mean(),
        "omitted": (heard.operations == 2).mean(),  # noqa: PLR2004 Edits' number for it
        "inserted": heard.insertions.sum() / phones,
        "heard_phones": heard.heard / phones,
        "phones": phones,
        "words": words,
        "frames": frames,
        "frames_per_phone": spoken / phones,
        "longest_gap": gaps.max(),
        "pauses": (gaps > _PAUSE).sum(),
        "long_pauses": (gaps > _LONG_PAUSE).sum(),
        "paused": gaps[gaps > _PAUSE].sum() / spoken,
        "step_deviation": steps.std(),
        "step_median": np.median(steps),
        "entropy": columns["window_entropy"].mean(),
        "blank": columns["window_blank"].mean(),
        "occupancy": columns["occupancy"].mean(),
        "boundaries": np.exp(columns["boundary"]).sum() / words,
    }
    return {name: float(value) for name, value in values.items()}


def _melody(acoustics: Acoustics) -> dict[str, float]:
    pitch = acoustics.pitch[acoustics.voiced]
    enough = len(pitch) > 5  # noqa: PLR2004 frames
    energy = acoustics.energy
    loud = energy[energy > -3.5]  # noqa: PLR2004 nats below the loud parts
    return {
        "median_pitch": acoustics.median_pitch,
        "pitch_deviation": float(pitch.std()) if enough else 0.0,
        "pitch_movement": float(np.abs(np.diff(pitch)).mean()) if enough else 0.0,
        "voiced": float(acoustics.voiced.mean()),
        "quiet_energy": float(np.percentile(energy, 10)),
        "median_energy": float(np.percentile(energy, 50)),
        "energy_deviation": float(loud.std()),
    }


def _greedy(log_posteriors: FloatArray) -> IntArray:
    """Return the phones that the frames spell by themselves."""
    best = log_posteriors.argmax(axis=1)
    changes = best[np.append(True, best[1:] != best[:-1])]
    return np.asarray(changes[changes < OTHER])


def _clipped(logs: FloatArray) -> FloatArray:
    return np.clip(logs, _LOWEST, 0)
