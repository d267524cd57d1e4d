"""The floor: the automatic tutor is silent while a specialist is in the room."""

import asyncio
from collections.abc import Callable

from livekit import rtc
from livekit.agents.types import ATTRIBUTE_AGENT_NAME
from livekit.rtc.room import EventTypes

__all__ = ["FLOOR", "Floor", "is_specialist", "until_free"]

FLOOR = "loqua.floor"
"""The participant attribute that shows whether a tutor has the floor: `true` or `false`."""


def is_specialist(participant: rtc.Participant) -> bool:
    """Return whether a participant is an agent that was dispatched by name.

    LiveKit's server sets the kind and this attribute, so learners cannot forge them.
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
    """The state of the floor: this tutor has it, or specialists until the last one has left.

    During a call to a specialist (`begin_call`),
    only `give` and `take_back` change it: the specialist
    may join while this tutor still announces it, and may be restored after a crash.

    Args:
        room: The room.
        on_change: Called when this tutor loses the floor (False) or gets it (True).
        held: Whether it has the floor initially.
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
        self._handlers: dict[EventTypes, Callable[..., None]] = {
            "participant_connected": self._update,
            "participant_attributes_changed": self._look_again,
            "participant_disconnected": self._update,
        }

    @property
    def held(self) -> bool:
        """Whether this tutor has the floor."""
        return self._free.is_set()

    def watch(self) -> None:
        """Start to follow the room."""
        for event, handler in self._handlers.items():
            self._room.on(event, handler)
        self._update()

    def unwatch(self) -> None:
        """Stop following the room."""
        for event, handler in self._handlers.items():
            self._room.off(event, handler)

    def begin_call(self) -> None:
        """Keep the floor until `give`, whoever joins, and leave it to others until `take_back`."""
        self._lent = True

    def give(self) -> None:
        """Pass the floor to the specialist."""
        self._switch(held=False)

    def take(self) -> None:
        """Take the floor, as a specialist."""
        self._free.set()
        self._changed.set()

    def take_back(self) -> None:
        """End the call: this tutor gets the floor when no specialist is in the room."""
        self._lent = False
        self._update()

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
            shown = {FLOOR: "true" if self.held else "false"}
            await self._room.local_participant.set_attributes(shown)
            await self._changed.wait()

    def _look_again(self, _changed: dict[str, str], participant: rtc.Participant) -> None:
        self._update(participant)

    def _update(self, _participant: rtc.Participant | None = None) -> None:
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
