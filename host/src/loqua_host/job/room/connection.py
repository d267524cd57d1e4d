"""The tutor's own connection to the room: LiveKit repairs it, or it is lost."""

import asyncio
from collections.abc import Callable

from livekit import rtc

__all__ = ["RoomConnection"]

MENDING_SECONDS = 15.0
"""How long LiveKit may try: the learner hears silence meanwhile, and another job comes sooner."""

ENDINGS = frozenset(
    {
        rtc.DisconnectReason.CLIENT_INITIATED,
        rtc.DisconnectReason.PARTICIPANT_REMOVED,
        rtc.DisconnectReason.ROOM_CLOSED,
        rtc.DisconnectReason.ROOM_DELETED,
    }
)
"""Why somebody ends it; anything else went wrong, also that another took the tutor's identity."""


class RoomConnection:
    """Follows the connection.

    Args:
        room: The room.
        on_change: Hears that it is broken (False) or repaired (True).
        on_end: Hears that somebody has ended it.
        on_loss: Hears that it is lost for good.
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
        """Whether it stands."""
        return self._timer is None

    def watch(self) -> None:
        """Follow it from now on."""
        self._room.on("reconnecting", self._on_broken)
        self._room.on("reconnected", self._on_mended)
        self._room.on("disconnected", self._on_disconnected)

    def unwatch(self) -> None:
        """Follow it no longer."""
        self._room.off("reconnecting", self._on_broken)
        self._room.off("reconnected", self._on_mended)
        self._room.off("disconnected", self._on_disconnected)
        if self._timer is not None:
            self._timer.cancel()

    def _on_broken(self) -> None:
        if self.connected:
            self._timer = asyncio.get_running_loop().call_later(MENDING_SECONDS, self._on_loss)
            self._on_change(False)

    def _on_mended(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._on_change(True)

    def _on_disconnected(self, reason: int) -> None:
        (self._on_end if reason in ENDINGS else self._on_loss)()
