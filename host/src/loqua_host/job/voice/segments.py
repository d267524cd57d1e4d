"""Identification of the speaker of each segment of recognised speech."""

from collections.abc import Callable
from typing import Final

from livekit.agents.stt import SpeechEvent, SpeechEventType

from .levels import Levels

__all__ = ["LEAD_SECONDS", "Segments"]

LEAD_SECONDS = 1.0
"""Seconds by which speech may start before it is detected."""

INTERIM: Final = (SpeechEventType.INTERIM_TRANSCRIPT, SpeechEventType.PREFLIGHT_TRANSCRIPT)


class Segments:
    """Identify speakers from recognition events and the loudest participant at that time.

    Recognition may be slow: the words of a segment were said after the previous segment and before
    the end of this one was detected, whoever speaks now. A segment keeps the speaker of its first
    word, so that it is never split.

    Args:
        levels: The participants' levels.
        clock: The clock of the levels.
    """

    def __init__(self, levels: Levels, clock: Callable[[], float]) -> None:
        self._levels = levels
        self._clock = clock
        self._last_end = 0.0
        self._start: float | None = None
        self._end: float | None = None
        self._speaker: str | None = None

    def speaker(self, event: SpeechEvent) -> str | None:
        """Handle an event; return the speaker, or None if it has no words or nobody spoke."""
        now = self._clock()
        if event.type is SpeechEventType.START_OF_SPEECH:
            self._start, self._end = now, None
        elif event.type is SpeechEventType.END_OF_SPEECH and self._start is not None:
            self._end = event.speech_end_time or now
        elif event.type in INTERIM:
            self._speaker = self._speaker or self._loudest(now)
            return self._speaker
        elif event.type is SpeechEventType.FINAL_TRANSCRIPT:
            return self._close(self._end or now)
        return None

    def _close(self, end: float) -> str | None:
        speaker = self._speaker or self._loudest(end)
        self._last_end, self._start, self._end, self._speaker = end, None, None, None
        return speaker

    def _loudest(self, until: float) -> str | None:
        last = self._last_end
        since = last if self._start is None else max(last, self._start - LEAD_SECONDS)
        # A start that is detected late comes after the words.
        return self._levels.loudest(since, until) or self._levels.loudest(last, until)
