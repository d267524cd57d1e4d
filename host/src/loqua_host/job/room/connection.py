"""The tutor's own connection to the room, which LiveKit may reconnect or lose."""

import asyncio
from collections.abc import Callable

from livekit import rtc

__all__ = ["RoomConnection"]

RECONNECT_SECONDS = 15.0
"""Seconds for LiveKit to reconnect. The learner hears nothing meanwhile; after that, another job
is faster."""

ENDINGS = frozenset(
    {
        rtc.DisconnectReason.CLIENT_INITIATED,
        rtc.DisconnectReason.PARTICIPANT_REMOVED,
        rtc.DisconnectReason.ROOM_CLOSED,
        rtc.DisconnectReason.ROOM_DELETED,
    }
)
"""Disconnect reasons that are deliberate. Others, such as a duplicate identity, are failures."""


class RoomConnection:
    """Follow the connection.

    Args:
        room: The room.
        on_change: Called when it breaks (False) and when it is back (True).
        on_end: Called when it is closed deliberately.
        on_loss: Called when it is lost.
    """

    def __init__(
        self,
        room: rtc.Room,
        *,
        on_change: Callable[[bool], None],
        on_end: Callable[[], None],
        on_loss: Callable[[], None],
    ) -> None:
        self._room = room
        self._on_change = on_change
        self._on_end = on_end
        self._on_loss = on_loss
        self._timer: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        """Whether the room is connected."""
        return self._timer is None

    def watch(self) -> None:
        """Start to follow it."""
        self._room.on("reconnecting", self._on_broken)
        self._room.on("reconnected", self._on_reconnected)
        self._room.on("disconnected", self._on_disconnected)

    def unwatch(self) -> None:
        """Stop following it."""
        self._room.off("reconnecting", self._on_broken)
        self._room.off("reconnected", self._on_reconnected)
        self._room.off("disconnected", self._on_disconnected)
        if self._timer is not None:
            self._timer.cancel()

    def _on_broken(self) -> None:
        if self.connected:
            self._timer = asyncio.get_running_loop().call_later(RECONNECT_SECONDS, self._on_loss)
            self._on_change(False)

    def _on_reconnected(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._on_change(True)

    def _on_disconnected(self, reason: int) -> None:
        (self._on_end if reason in ENDINGS else self._on_loss)()
