"""The choice of the rooms to read now: active rooms, and the quiet ones in turn; pure."""

import math
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from loqua_host.rooms.rooms import RoomCounts

__all__ = ["QUIET_AT_ONCE", "ROUND_SECONDS", "RoomSweep", "taught_at_once"]

SETTLE_SECONDS = 10.0
"""Seconds after which a room that is read with the same participants is quiet. By then, the
reconciler has seen whether LiveKit's own dispatch has brought a tutor."""

QUIET_AT_ONCE = 20
"""Quiet rooms that are read in one turn: up to so many, every room is always read. Each costs two
requests to LiveKit and two queries of the ledger; see tests/bench/rooms_api.py."""

TURN_SECONDS = 1.9
"""Seconds between two turns, a little less than between two polls: events wake the reconciler more
often."""

ROUND_SECONDS = 30.0
"""Seconds in which each room with a lesson of this host has its turn, however many there are."""


def taught_at_once(rooms: int) -> int:
    """Return how many of so many quiet rooms with lessons of this host are read in one turn."""
    return min(rooms, max(QUIET_AT_ONCE, math.ceil(rooms * TURN_SECONDS / ROUND_SECONDS)))


@dataclass(frozen=True, slots=True)
class _Read:
    """A room's participants when it was last read, and the time of their last change."""

    participants: frozenset[str]
    since: float
    at: float


class _Turns:
    """Choose some of many rooms at a time, each once in a round."""

    def __init__(self) -> None:
        self._last = ""
        self._at = -math.inf

    def next(self, rooms: Iterable[str], most: int, now: float) -> Sequence[str]:
        """Return all rooms if they are few, else the next `most`; none before it is time."""
        ordered = sorted(rooms)
        if len(ordered) <= QUIET_AT_ONCE:
            return ordered
        if now - self._at < TURN_SECONDS:
            return ()
        start = bisect_right(ordered, self._last)
        turn = (ordered[start:] + ordered[:start])[:most]
        self._last, self._at = turn[-1], now
        return turn


class RoomSweep:
    """Choose the rooms that the reconciler reads.

    A room is read each time until its participants have been the same for ten seconds, and again
    after each webhook about it and each change of its counts in LiveKit's list. What neither shows
    is noticed when the quiet room has its turn; those with lessons of this host have more of them.
    """

    def __init__(self) -> None:
        self._reads: dict[str, _Read] = {}
        self._counts: Mapping[str, RoomCounts] = {}
        self._taught, self._others = _Turns(), _Turns()

    def choose(
        self, known: Collection[str], active: Iterable[str], taught: Collection[str], now: float
    ) -> set[str]:
        """Return the rooms to read.

        Args:
            known: All rooms.
            active: Those to read in any case, known or not.
            taught: Those in which this host teaches.
            now: The time, in monotonic seconds.
        """
        chosen = {*active, *(room for room in known if not self._is_quiet(room))}
        quiet = {room for room in known if room not in chosen}
        ours = quiet.intersection(taught)
        chosen.update(self._taught.next(ours, taught_at_once(len(ours)), now))
        chosen.update(self._others.next(quiet - ours, QUIET_AT_ONCE, now))
        return chosen

    def note(self, room: str, participants: Iterable[str], now: float) -> None:
        """Note who was in a room when it was read."""
        present, before = frozenset(participants), self._reads.get(room)
        same = before is not None and before.participants == present
        self._reads[room] = _Read(present, before.since if before and same else now, now)

    def note_counts(self, counts: Mapping[str, RoomCounts]) -> None:
        """Note the counts of all rooms: forget rooms that are gone, and read changed ones again."""
        before, self._counts = self._counts, counts
        self.mark_changed(room for room, it in before.items() if counts.get(room) != it)
        self._reads = {room: read for room, read in self._reads.items() if room in counts}

    def mark_changed(self, rooms: Iterable[str]) -> None:
        """Note that something happens in rooms."""
        for room in rooms:
            self._reads.pop(room, None)

    def _is_quiet(self, room: str) -> bool:
        read = self._reads.get(room)
        return read is not None and read.at - read.since >= SETTLE_SECONDS
