"""Voice activity: how much of a sound is a human voice, by Silero's detector."""

import os

import numpy as np
from faster_whisper.vad import get_vad_model  # type: ignore[import-untyped]  # ships no types

from loqua_speech.audio import HEARING_RATE, Samples

__all__ = ["voiced_seconds"]

# Otherwise ONNX Runtime writes a session file and reports its use to Microsoft (seen in 1.32.0).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_FRAME = 512
_THRESHOLD = 0.5  # Silero's own
_PEAK = 0.5
"""Silero misses speech below -30 dBFS: each sound is brought to the same level."""


def voiced_seconds(audio: Samples) -> float:
    """Return how many seconds of a sound, mono at `HEARING_RATE`, are a voice."""
    peak = float(np.abs(audio).max(initial=0.0))
    if peak == 0:
        return 0.0
    padded = np.pad(audio * np.float32(_PEAK / peak), (0, -len(audio) % _FRAME))
    probabilities = np.asarray(get_vad_model()(padded))
    return float((probabilities >= _THRESHOLD).sum()) * _FRAME / HEARING_RATE
