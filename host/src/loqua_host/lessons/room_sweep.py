"""The choice of the rooms to read now: active rooms, and the quiet ones in turn; pure."""

from bisect import bisect_right
from collections.abc import Collection, Iterable
from dataclasses import dataclass

__all__ = ["QUIET_AT_ONCE", "RoomSweep"]

SETTLE_SECONDS = 10.0
"""Seconds after which a room that is read with the same participants is quiet. By then, the
reconciler has seen whether LiveKit's own dispatch has brought a tutor."""

QUIET_AT_ONCE = 20
"""Quiet rooms that are read in one turn: up to so many, every room is always read. Each costs two
requests to LiveKit and two queries of the ledger; see tests/bench/rooms_api.py."""

TURN_SECONDS = 1.9
"""Seconds between two turns, a little less than between two polls: events wake the reconciler more
often."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A room's participants when it was last read, and the time of their last change."""

    participants: frozenset[str]
    since: float
    at: float


class RoomSweep:
    """Choose the rooms that the reconciler reads.

    A room is read each time until its participants have been the same for ten seconds, and again
    after each webhook about it. Without a webhook, what happens in a quiet room is noticed when it
    has its turn.
    """

    def __init__(self) -> None:
        self._reads: dict[str, _Read] = {}
        self._last = ""
        self._turn_at = 0.0

    def choose(self, known: Collection[str], active: Iterable[str], now: float) -> set[str]:
        """Return the rooms to read.

        Args:
            known: All rooms.
            active: Those to read in any case, known or not.
            now: The time, in monotonic seconds.
        """
        chosen = {*active, *(room for room in known if not self._is_quiet(room))}
        quiet = sorted(room for room in known if room not in chosen)
        if len(quiet) <= QUIET_AT_ONCE:
            return chosen | {*quiet}
        if now - self._turn_at < TURN_SECONDS:
            return chosen
        start = bisect_right(quiet, self._last)
        turn = (quiet[start:] + quiet[:start])[:QUIET_AT_ONCE]
        self._last, self._turn_at = turn[-1], now
        return chosen | {*turn}

    def note(self, room: str, participants: Iterable[str], now: float) -> None:
        """Note who was in a room when it was read."""
        present, before = frozenset(participants), self._reads.get(room)
        same = before is not None and before.participants == present
        self._reads[room] = _Read(present, before.since if before and same else now, now)

    def mark_changed(self, rooms: Iterable[str]) -> None:
        """Note that something happens in rooms."""
        for room in rooms:
            self._reads.pop(room, None)

    def forget_all_but(self, known: Collection[str]) -> None:
        """Forget the rooms that are gone."""
        self._reads = {room: read for room, read in self._reads.items() if room in known}

    def _is_quiet(self, room: str) -> bool:
        read = self._reads.get(room)
        return read is not None and read.at - read.since >= SETTLE_SECONDS
