"""Who has the floor: the automatic tutor steps aside while a specialist is in the room."""

import asyncio
from collections.abc import Callable

from livekit import rtc
from livekit.agents.types import ATTRIBUTE_AGENT_NAME
from livekit.rtc.room import EventTypes

__all__ = ["FLOOR", "Floor", "is_specialist", "until_free"]

FLOOR = "loqua.floor"
"""The attribute by which a room is told whether a tutor has the floor: `true` or `false`."""


def is_specialist(participant: rtc.Participant) -> bool:
    """Return whether a participant is an agent that was dispatched by name.

    Kind and this attribute are set by LiveKit's server, so no learner can pretend.
    """
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT and bool(
        participant.attributes.get(ATTRIBUTE_AGENT_NAME)
    )


async def until_free(room: rtc.Room) -> None:
    """Wait until no other agent in the room shows that it has the floor."""
    changed = asyncio.Event()

    def on_change(*_: object) -> None:
        changed.set()

    events: tuple[EventTypes, ...] = ("participant_attributes_changed", "participant_disconnected")
    for event in events:
        room.on(event, on_change)
    try:
        while any(_holds(other) for other in room.remote_participants.values()):
            changed.clear()
            await changed.wait()
    finally:
        for event in events:
            room.off(event, on_change)


def _holds(participant: rtc.Participant) -> bool:
    agent = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    return agent and participant.attributes.get(FLOOR) == "true"


class Floor:
    """Says who has the floor: this tutor, or specialists until the last has left.

    While it is lent, to a specialist that was called, it goes by `give` and comes back by
    `take_back` alone: the specialist may come while this tutor still announces it, and its
    process may die and another bring it back.

    Args:
        room: The room.
        on_change: Hears that this tutor has lost the floor (False) or has it (True).
        held: Whether it has the floor at first.
    """

    def __init__(
        self, room: rtc.Room, on_change: Callable[[bool], None], *, held: bool = True
    ) -> None:
        self._room = room
        self._on_change = on_change
        self._free = asyncio.Event()
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._lent = False
        if held:
            self._free.set()
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
        """Follow the room from now on."""
        for event, look in self._looks.items():
            self._room.on(event, look)
        self._look()

    def unwatch(self) -> None:
        """Follow the room no longer."""
        for event, look in self._looks.items():
            self._room.off(event, look)

    def lend(self) -> None:
        """Keep the floor until `give`, whoever comes, and leave it until `take_back`."""
        self._lent = True

    def give(self) -> None:
        """Step aside."""
        self._switch(held=False)

    def take(self) -> None:
        """Take the floor, as a specialist."""
        self._free.set()
        self._changed.set()

    def take_back(self) -> None:
        """Lend the floor no longer: it comes back when no specialist is in the room."""
        self._lent = False
        self._look()

    async def free(self) -> None:
        """Wait until this tutor has the floor."""
        await self._free.wait()

    async def wanted(self) -> None:
        """Wait until a specialist is in the room."""
        await self._wanted.wait()

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
        wanted = any(is_specialist(other) for other in self._room.remote_participants.values())
        (self._wanted.set if wanted else self._wanted.clear)()
        if not self._lent:
            self._switch(held=not wanted)

    def _switch(self, *, held: bool) -> None:
        if held is self.held:
            return
        (self._free.set if held else self._free.clear)()
        self._changed.set()
        self._on_change(held)
