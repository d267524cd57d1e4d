"""LiveKit's rooms in memory: one room, its participants and dispatches."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any, Final

from livekit.agents.types import ATTRIBUTE_AGENT_NAME
from livekit.rtc import ParticipantKind

from loqua_host.lessons.tutors import TUTOR
from loqua_host.rooms.learners import Participant
from loqua_host.rooms.rooms import Dispatch, RoomCounts

from .fake_room import FakeRoom

__all__ = ["ROOM", "ScriptedRooms"]

ROOM: Final = "room"


class ScriptedRooms:
    """The rooms API of a server with one room, which lasts as long as the script.

    Args:
        now: The wall clock, in Unix seconds.
        offer: Offers a dispatch to a worker.
    """

    def __init__(self, now: Callable[[], float], offer: Callable[[Dispatch], None]) -> None:
        self._now = now
        self._offer = offer
        self._entries = count(1)
        self._people: dict[str, Participant] = {}
        self._dispatches: list[Dispatch] = []
        self._views: dict[str, FakeRoom] = {}

    def view(self, identity: str) -> FakeRoom:
        """Return the room as a participant sees it."""
        room = self._views[identity] = FakeRoom()
        for other in self._people.values():
            if other.identity != identity:
                _show(room, other)
        return room

    def enter(self, identity: str, kind: str, **attributes: str) -> None:
        """Add a participant."""
        sid = f"PA_{next(self._entries)}"
        person = Participant(
            identity, kind, attributes.get("display_name", ""), attributes, False, self._now(), sid
        )
        self._people[identity] = person
        for viewer, room in self._views.items():
            if viewer != identity:
                _show(room, person)

    def enter_agent(self, identity: str, tutor: str, agent_name: str) -> None:
        """Add a tutor."""
        self.enter(identity, "agent", **{TUTOR: tutor, ATTRIBUTE_AGENT_NAME: agent_name})

    def leave(self, identity: str) -> None:
        """Remove a participant."""
        self._views.pop(identity, None)
        if self._people.pop(identity, None) is not None:
            for room in self._views.values():
                room.leave(identity)

    async def participants(self, _room: str) -> list[Participant]:
        """List who is in the room."""
        return list(self._people.values())

    async def counts(self) -> dict[str, RoomCounts]:
        """List the room."""
        return {ROOM: RoomCounts(len(self._people), 0)}

    async def dispatched(self, _room: str) -> list[Dispatch]:
        """List the room's dispatches."""
        return list(self._dispatches)

    async def withdraw(self, _room: str, agent_name: str) -> list[Dispatch]:
        """Delete a tutor's dispatches."""
        deleted = [one for one in self._dispatches if one.agent_name == agent_name]
        self._dispatches = [one for one in self._dispatches if one not in deleted]
        return deleted

    async def dispatch(self, _room: str, dispatch: Dispatch) -> None:
        """Dispatch a tutor."""
        self._dispatches.append(dispatch)
        self._offer(dispatch)

    async def remove(self, _room: str, identity: str) -> None:
        """Remove a participant."""
        self.leave(identity)

    async def mark(self, _room: str, identity: str, name: str, value: str) -> bool:
        """Set an attribute; return whether the participant is there."""
        if one := self._people.get(identity):
            changed = {**one.attributes, name: value}
            self._people[identity] = replace(one, attributes=changed)
        return one is not None


def _show(room: FakeRoom, person: Participant) -> None:
    kind = ParticipantKind.Value(f"PARTICIPANT_KIND_{person.kind.upper()}")
    attributes: dict[str, Any] = dict(person.attributes)
    room.enter(person.identity, kind, sid=person.sid, **attributes)
