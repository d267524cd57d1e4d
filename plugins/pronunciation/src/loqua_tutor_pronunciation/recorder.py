"""The learner's last words as sound."""

from collections import deque
from collections.abc import Iterable

from livekit import rtc

__all__ = ["Recorder"]


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
        self._taken: list[rtc.AudioFrame] = []

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

    def take(self, *, continued: bool) -> bytes | None:
        """Return the turn as a WAV file and begin another; None if nobody spoke.

        Args:
            continued: Whether the turn goes on with the one that was taken before.
        """
        spoken = list(self._frames) if self._speaking else []
        self._taken = [*(self._taken if continued else ()), *spoken]
        self._frames.clear()
        self._seconds, self._speaking = 0.0, False
        return _wav(self._taken)


def _wav(frames: Iterable[rtc.AudioFrame]) -> bytes | None:
    frames = list(frames)
    return rtc.combine_audio_frames(frames).to_wav_bytes() if frames else None
