"""Who speaks each segment of speech that a recogniser transcribes."""

from collections.abc import Callable
from typing import Final

from livekit.agents.stt import SpeechEvent, SpeechEventType

from .levels import Levels

__all__ = ["LEAD_SECONDS", "Segments"]

LEAD_SECONDS = 1.0
"""How long before it is noticed somebody may have begun to speak."""

INTERIM: Final = (SpeechEventType.INTERIM_TRANSCRIPT, SpeechEventType.PREFLIGHT_TRANSCRIPT)


class Segments:
    """Tells speakers by the recogniser's events and by who was the loudest meanwhile.

    A recogniser may take its time: what it hears in a segment was said after the segment before,
    and before it noticed the end of this one, whoever speaks by now. A segment bears one name from
    its first word on, so that no half of it is left behind under another's.

    Args:
        levels: How loud the participants were.
        clock: The time by which the levels are dated.
    """

    def __init__(self, levels: Levels, clock: Callable[[], float]) -> None:
        self._levels = levels
        self._clock = clock
        self._last_end = 0.0
        self._start: float | None = None
        self._end: float | None = None
        self._speaker: str | None = None

    def speaker(self, event: SpeechEvent) -> str | None:
        """Take the next event, and return who speaks; None if it has no words or nobody spoke."""
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
        # A start that is noticed late is after all that was said.
        return self._levels.loudest(since, until) or self._levels.loudest(last, until)
