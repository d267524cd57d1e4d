"""Senders of streams in a room, also those who have left and those yet to come."""

import asyncio
from contextlib import suppress

from livekit import rtc

__all__ = ["Senders"]

CATCH_UP_SECONDS = 3.0
"""Seconds for the slower channel to catch up: one packet lost twice, and a busy machine."""


class Senders:
    """The participants of a room by identity, from now on.

    LiveKit sends participants by signal and streams by data channel, in no common order: a stream
    may arrive before its sender does, and after the sender has left.

    Args:
        room: The room, connected.
    """

    def __init__(self, room: rtc.Room) -> None:
        self._seen = dict(room.remote_participants)
        self._entered = asyncio.Event()
        room.on("participant_connected", self._on_entered)

    async def find(self, identity: str) -> rtc.RemoteParticipant | None:
        """Return the sender of a stream; None for one who does not come in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CATCH_UP_SECONDS):
                while identity not in self._seen:
                    self._entered.clear()
                    await self._entered.wait()
        return self._seen.get(identity)

    def _on_entered(self, who: rtc.RemoteParticipant) -> None:
        self._seen[who.identity] = who
        self._entered.set()
