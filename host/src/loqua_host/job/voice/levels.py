"""Audio levels of participants, and the loudest one in a span of time."""

from collections import defaultdict, deque

__all__ = ["KEPT_SECONDS", "QUIET", "Levels"]

KEPT_SECONDS = 120.0
"""Seconds that a level is kept; of a longer turn, only the last part counts."""

QUIET = 1_000.0
"""The minimum background level, as a mean square of 16-bit samples (-60 dBFS)."""

RISE = 1.02
"""The factor by which a background level may rise from frame to frame; it falls at once."""

SPEECH = 4.0
"""The minimum ratio of speech to background energy (6 dB)."""


class Levels:
    """Store the energy of each participant's speech above their background level.

    Constant noise, such as a fan or a street, is ignored.
    """

    def __init__(self) -> None:
        self._backgrounds: dict[str, float] = {}
        self._speech: deque[tuple[float, str, float]] = deque()

    def add(self, identity: str, energy: float, at: float) -> None:
        """Add a participant's frame: the mean square of its samples, and its time."""
        background = max(QUIET, min(energy, self._backgrounds.get(identity, QUIET) * RISE))
        self._backgrounds[identity] = background
        if energy >= background * SPEECH:
            self._speech.append((at, identity, energy))
        while self._speech and self._speech[0][0] < at - KEPT_SECONDS:
            self._speech.popleft()

    def loudest(self, since: float, until: float) -> str | None:
        """Return the identity with the most speech energy in a span, or None if nobody spoke."""
        heard = defaultdict[str, float](float)
        for at, identity, energy in self._speech:
            if since <= at <= until:
                heard[identity] += energy
        return max(heard, key=heard.__getitem__, default=None)
