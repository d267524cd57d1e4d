"""Voice activity: the share of a human voice in audio, by Silero's detector."""

import os
from dataclasses import dataclass

import numpy as np
from faster_whisper.vad import get_vad_model  # type: ignore[import-untyped]  # ships no types

from loqua_speech.audio import HEARING_RATE, Samples

__all__ = ["VoiceActivity", "detect_voice"]

# Otherwise ONNX Runtime writes a session file and reports its use to Microsoft (seen in 1.32.0).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_FRAME = 512
_THRESHOLD = 0.5  # Silero's own
_CLEAR = 0.9
_PEAK = 0.5
"""Silero misses speech below -30 dBFS: each sound is brought to the same level."""
_HISS = 0.005
"""Amplitude of the noise that is added: Silero is less sure of a word between digital silences."""


@dataclass(frozen=True, slots=True)
class VoiceActivity:
    """The seconds of human voice in a piece of audio.

    Attributes:
        seconds: For how long there is one.
        clear_seconds: For how long it is hardly anything else.
    """

    seconds: float = 0.0
    clear_seconds: float = 0.0


def detect_voice(audio: Samples) -> VoiceActivity:
    """Return how much of a sound, mono at `HEARING_RATE`, is a voice."""
    peak = float(np.abs(audio).max(initial=0.0))
    if peak == 0:
        return VoiceActivity()
    padded = np.pad(audio * np.float32(_PEAK / peak), (0, -len(audio) % _FRAME))
    hiss = np.random.default_rng(0).normal(scale=_HISS, size=len(padded))
    probabilities = np.asarray(get_vad_model()(padded + hiss.astype(np.float32)))
    spoken, clear = (
        float((probabilities >= least).sum()) * _FRAME / HEARING_RATE
        for least in (_THRESHOLD, _CLEAR)
    )
    return VoiceActivity(spoken, clear)
