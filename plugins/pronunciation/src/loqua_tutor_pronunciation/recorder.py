"""The learner's last words as sound."""

from collections import deque
from collections.abc import Sequence

from livekit import rtc

__all__ = ["Recorder", "Recording", "trimmed", "wav"]

Recording = tuple[rtc.AudioFrame, ...]

_QUIET = 0.05
"""Share of the loudest sample below which a frame is no speech."""

_AROUND_SECONDS = 0.2
"""Of quiet sound kept around speech: its first and last sounds are quiet."""


class Recorder:
    """Keeps the sound of the current turn.

    Args:
        lead: Seconds kept from before speech is noticed, which is after it began.
        longest: Seconds of a turn that are kept, the last ones.
    """

    def __init__(self, *, lead: float = 1.0, longest: float = 30.0) -> None:
        self._lead = lead
        self._longest = longest
        self._frames: deque[rtc.AudioFrame] = deque()
        self._seconds = 0.0
        self._speaking = False
        self._taken: Recording = ()

    def add(self, frame: rtc.AudioFrame) -> None:
        """Add a frame of the learner's audio."""
        self._frames.append(frame)
        self._seconds += frame.duration
        limit = self._longest if self._speaking else self._lead
        while self._seconds > limit:
            self._seconds -= self._frames.popleft().duration

    def begin(self) -> None:
        """Keep what follows: the learner speaks."""
        self._speaking = True

    def take(self, *, continued: bool) -> Recording:
        """Return the turn and begin another; no frames if nobody spoke.

        Args:
            continued: Whether the turn goes on with the one that was taken before.
        """
        spoken = tuple(self._frames) if self._speaking else ()
        self._taken = (*(self._taken if continued else ()), *spoken)
        self._frames.clear()
        self._seconds, self._speaking = 0.0, False
        return self._taken


def wav(recording: Recording) -> bytes:
    """Return a recording of at least one frame as a WAV file."""
    return rtc.combine_audio_frames(list(recording)).to_wav_bytes()


def trimmed(recording: Recording) -> Recording:
    """Return a recording without the silence before and after speech."""
    peaks = [max(map(abs, frame.data), default=0) for frame in recording]
    loud = [at for at, peak in enumerate(peaks) if peak and peak > _QUIET * max(peaks)]
    if not loud:
        return ()
    around = _frames_in(_AROUND_SECONDS, recording)
    return recording[max(0, loud[0] - around) : loud[-1] + around + 1]


def _frames_in(seconds: float, recording: Sequence[rtc.AudioFrame]) -> int:
    return round(seconds / recording[0].duration)
