"""Who has the floor: the automatic tutor steps aside while a specialist is in the room."""

import asyncio
from collections.abc import Callable

from livekit import rtc
from livekit.agents import AgentSession
from livekit.agents.types import ATTRIBUTE_AGENT_NAME
from livekit.rtc.room import EventTypes

__all__ = ["FLOOR", "Floor", "is_specialist"]

FLOOR = "loqua.floor"
"""The attribute by which a room is told whether a tutor has the floor: `true` or `false`."""


def is_specialist(participant: rtc.Participant) -> bool:
    """Say whether a participant is an agent that was dispatched by name.

    Kind and this attribute are set by LiveKit's server, so no learner can pretend.
    """
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT and bool(
        participant.attributes.get(ATTRIBUTE_AGENT_NAME)
    )


class Floor:
    """Gives the floor to specialists: audio and text, in and out, until the last has left.

    While it is lent, to a specialist who was called, it does not come back with the end of that
    one's process: another brings the specialist back.
    """

    def __init__(
        self,
        room: rtc.Room,
        session: "AgentSession[None]",
        on_change: Callable[[bool], None],
    ) -> None:
        self._room = room
        self._session = session
        self._on_change = on_change
        self._free = asyncio.Event()
        self._free.set()
        self._lent = False
        self._changed = asyncio.Event()
        self._looks: dict[EventTypes, Callable[..., None]] = {
            "participant_connected": self._look,
            "participant_attributes_changed": self._look_again,
            "participant_disconnected": self._look,
        }

    @property
    def held(self) -> bool:
        """Whether this tutor has the floor."""
        return self._free.is_set()

    def watch(self) -> None:
        """Follow the room from now on; call once the session has started."""
        for event, look in self._looks.items():
            self._room.on(event, look)
        self._look()

    def unwatch(self) -> None:
        """Follow the room no longer; call before the session closes."""
        for event, look in self._looks.items():
            self._room.off(event, look)

    def lend(self) -> None:
        """Give the floor to a specialist once it has come, until `take_back`."""
        self._lent = True

    def take_back(self) -> None:
        """Lend the floor no longer: it comes back when no specialist is in the room."""
        self._lent = False
        self._look()

    async def free(self) -> None:
        """Wait until this tutor has the floor."""
        await self._free.wait()

    async def show(self) -> None:
        """Show the room whether this tutor has the floor, until cancelled."""
        while True:
            self._changed.clear()
            told = {FLOOR: "true" if self.held else "false"}
            await self._room.local_participant.set_attributes(told)
            await self._changed.wait()

    def _look_again(self, _changed: dict[str, str], participant: rtc.Participant) -> None:
        self._look(participant)

    def _look(self, _participant: rtc.Participant | None = None) -> None:
        held = not any(is_specialist(other) for other in self._room.remote_participants.values())
        if held is self.held or (held and self._lent):
            return
        (self._free.set if held else self._free.clear)()
        self._changed.set()
        if not held:
            self._session.interrupt(force=True)
        if self._session.input.audio is not None:
            self._session.input.set_audio_enabled(held)
        if self._session.output.audio is not None:
            self._session.output.set_audio_enabled(held)
        if self._session.output.transcription is not None:
            self._session.output.set_transcription_enabled(held)
        self._on_change(held)
