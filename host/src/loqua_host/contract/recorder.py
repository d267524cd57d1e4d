"""The learner's last words as sound."""

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from livekit.rtc import AudioFrame

__all__ = ["Recorder"]


class Recorder:
    """Keep the sound of the learner's current turn, for an agent's `stt_node`.

    Args:
        lead: Seconds kept from before speech is noticed, which is after it began.
        longest: Seconds of a turn that are kept, the last ones.
    """

    def __init__(self, *, lead: float = 1.0, longest: float = 30.0) -> None:
        self._lead = lead
        self._longest = longest
        self._frames: deque[AudioFrame] = deque()
        self._seconds = 0.0
        self._speaking = False
        self._taken: tuple[AudioFrame, ...] = ()

    def add(self, frame: "AudioFrame") -> None:
        """Add a frame of the learner's audio."""
        self._frames.append(frame)
        self._seconds += frame.duration
        limit = self._longest if self._speaking else self._lead
        while self._seconds > limit:
            self._seconds -= self._frames.popleft().duration

    def begin(self) -> None:
        """Keep what follows: the learner speaks."""
        self._speaking = True

    def peek(self) -> "tuple[AudioFrame, ...]":
        """Return the turn so far, which goes on; no frames if nobody speaks."""
        return tuple(self._frames) if self._speaking else ()

    def take(self, *, continued: bool) -> "tuple[AudioFrame, ...]":
        """Return the turn and begin another; no frames if nobody spoke.

        Args:
            continued: Whether the turn goes on with the one that was taken before.
        """
        self._taken = (*(self._taken if continued else ()), *self.peek())
        self._frames.clear()
        self._seconds, self._speaking = 0.0, False
        return self._taken
