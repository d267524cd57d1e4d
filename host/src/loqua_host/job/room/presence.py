"""The learner's presence in the room: present, away, or gone."""

import asyncio
from collections.abc import Callable
from enum import Enum, auto

from livekit import rtc

from .learner import may_learn

__all__ = ["Presence", "PresenceState"]


class PresenceState(Enum):
    """The learner's presence: in the room, away, or gone."""

    HERE = auto()
    AWAY = auto()
    """Out of the room, and may return."""
    GONE = auto()
    """Out of the room for longer than the reconnect timeout."""


class Presence:
    """Follow a learner who leaves the room and returns, possibly with another identity.

    Args:
        room: The room.
        identity: The learner's identity.
        reconnect_timeout: Seconds within which a learner who left may return.
        on_change: Called when the learner leaves, returns, or is gone.
        ask: Asks the host whether the participant with an identity is the learner.
    """

    def __init__(
        self,
        room: rtc.Room,
        identity: str,
        reconnect_timeout: float,
        *,
        on_change: Callable[[PresenceState], None],
        ask: Callable[[str], None],
    ) -> None:
        self._room = room
        self._identity = identity
        self._reconnect_timeout = reconnect_timeout
        self._on_change = on_change
        self._ask = ask
        self._timer: asyncio.TimerHandle | None = None

    @property
    def here(self) -> bool:
        """Whether the learner is in the room."""
        return self._timer is None

    @property
    def may_be_back(self) -> bool:
        """Whether a participant with the learner's identity is in the room, verified or not."""
        return self._identity in self._room.remote_participants

    def watch(self) -> None:
        """Start to follow the learner, who may have left already."""
        self._room.on("participant_connected", self._on_entered)
        self._room.on("participant_disconnected", self._on_left)
        self.look()

    def look(self) -> None:
        """Check whether the learner has left unnoticed."""
        if self.here and self._identity not in self._room.remote_participants:
            self._lose()

    def unwatch(self) -> None:
        """Follow the learner no longer."""
        self._room.off("participant_connected", self._on_entered)
        self._room.off("participant_disconnected", self._on_left)
        if self._timer is not None:
            self._timer.cancel()

    def confirm(self, identity: str) -> None:
        """Handle the host's confirmation that the learner is back, unless they left again."""
        if self._timer is not None and identity in self._room.remote_participants:
            self._timer.cancel()
            self._timer = None
            self._identity = identity
            self._on_change(PresenceState.HERE)

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity == self._identity and self.here:
            self._lose()

    def _on_entered(self, participant: rtc.RemoteParticipant) -> None:
        if not self.here and may_learn(participant):
            self._ask(participant.identity)

    def _lose(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._reconnect_timeout, self._on_change, PresenceState.GONE)
        self._on_change(PresenceState.AWAY)
        for participant in self._room.remote_participants.values():
            self._on_entered(participant)
