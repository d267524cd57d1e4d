"""How loud each participant is, frame by frame, and who was the loudest in a span of time."""

from collections import defaultdict, deque

__all__ = ["KEPT_SECONDS", "QUIET", "Levels"]

KEPT_SECONDS = 120.0
"""How long a level is kept; a longer turn is judged by its last part."""

QUIET = 1_000.0
"""Mean square of 16-bit samples (-60 dBFS) that no background is taken to be below."""

RISE = 1.02
"""What a background may grow by from one frame to the next; it falls at once."""

SPEECH = 4.0
"""How many times its background speech is at least (6 dB)."""


class Levels:
    """Keeps the energy of each participant's speech, which is what stands out of their background.

    A fan or a street that is always there counts for nothing, however loud.
    """

    def __init__(self) -> None:
        self._backgrounds: dict[str, float] = {}
        self._speech: deque[tuple[float, str, float]] = deque()

    def add(self, identity: str, energy: float, at: float) -> None:
        """Add a participant's frame: the mean square of its samples, and when it came."""
        background = max(QUIET, min(energy, self._backgrounds.get(identity, QUIET) * RISE))
        self._backgrounds[identity] = background
        if energy >= background * SPEECH:
            self._speech.append((at, identity, energy))
        while self._speech and self._speech[0][0] < at - KEPT_SECONDS:
            self._speech.popleft()

    def loudest(self, since: float, until: float) -> str | None:
        """Return the identity with the most energy of speech in a span, None if nobody spoke."""
        heard = defaultdict[str, float](float)
        for at, identity, energy in self._speech:
            if since <= at <= until:
                heard[identity] += energy
        return max(heard, key=heard.__getitem__, default=None)
