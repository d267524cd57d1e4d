"""Silence in place of the tutor's echo."""

from livekit import rtc
from livekit.agents.utils.audio import silence_frame_like

from .echo_detection import EchoDetector, PlayedSound

__all__ = ["EchoFilter"]


class EchoFilter:
    """Replace each frame that is nothing but an echo.

    A sound that may be the first echo, or a delayed one, is held back until the detector decides:
    the first echo for about a second, a delayed one and any other sound for half a second.

    Attributes:
        detector: The detector of echoes.
    """

    def __init__(self) -> None:
        self.detector = EchoDetector()
        self._held: list[rtc.AudioFrame] = []

    def add(self, frame: rtc.AudioFrame, played: PlayedSound, now: float) -> list[rtc.AudioFrame]:
        """Add what the microphone hears; return the frames that are decided, in order.

        Args:
            frame: The sound that has just arrived.
            played: What is played.
            now: The time of the same clock.
        """
        self._held.append(frame)
        is_echo = self.detector.add(frame, played, now)
        if is_echo is None:
            return []
        frames, self._held = self._held, []
        return [silence_frame_like(it) for it in frames] if is_echo else frames

    def clear(self) -> None:
        """Forget what is held back."""
        self._held.clear()
