"""A LiveKit room in memory, as a job sees it."""

import asyncio
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from livekit.agents.types import TOPIC_CHAT
from livekit.rtc.event_emitter import EventEmitter

__all__ = ["FakeParticipant", "FakeRoom", "FakeText"]


class FakeParticipant:
    """The tutor itself in the room."""

    identity = "tutor"

    def __init__(self) -> None:
        self.track_publications: dict[str, Any] = {}
        self.shown: list[dict[str, str]] = []
        self.texts: list[tuple[str, str, tuple[str, ...]]] = []

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        """Show something to the room."""
        self.shown.append(attributes)

    async def send_text(self, text: str, *, topic: str, destination_identities: list[str]) -> None:
        """Send a text to some participants, under a topic."""
        self.texts.append((topic, text, tuple(destination_identities)))

    async def stream_text(self, **_: Any) -> "FakeWriter":
        """Discard a text that is sent piece by piece."""
        return FakeWriter()


class FakeWriter:
    """A text stream that is being sent."""

    async def write(self, text: str) -> None:
        """Send a piece."""

    async def aclose(self, **_: Any) -> None:
        """Send no more."""


class FakeRoom(EventEmitter[str]):
    """A room with its remote participants."""

    def __init__(self) -> None:
        super().__init__()
        self.remote_participants: dict[str, Any] = {}
        self.left = False
        self.local_participant = FakeParticipant()
        self.entered = 0
        self.readers: dict[str, Callable[[Any, str], None]] = {}

    def register_text_stream_handler(self, topic: str, handler: Callable[[Any, str], None]) -> None:
        """Register a handler of a topic's text streams."""
        self.readers[topic] = handler

    def unregister_text_stream_handler(self, topic: str) -> None:
        """Remove the handler of a topic."""
        del self.readers[topic]

    async def write(self, identity: str, *pieces: str) -> "FakeText":
        """Send a chat message as a participant, and wait until it has been handled."""
        text = FakeText(pieces)
        self.readers[TOPIC_CHAT](text, identity)
        await asyncio.sleep(0.01)
        return text

    def enter(
        self,
        identity: str,
        kind: int = 0,
        *,
        observes: bool = False,
        sid: str = "",
        **attributes: str,
    ) -> None:
        """Add a participant."""
        rights = SimpleNamespace(
            can_subscribe=True, can_publish=not observes, can_publish_data=not observes
        )
        names = {name.replace("_", "."): value for name, value in attributes.items()}
        self.entered += 1
        person = SimpleNamespace(
            sid=sid or f"PA_{self.entered}",
            identity=identity,
            kind=kind,
            attributes=names,
            name=identity.title(),
            permissions=rights,
            track_publications={},
        )
        self.remote_participants[identity] = person
        self.emit("participant_connected", person)

    def sids(self, *identities: str) -> tuple[str, ...]:
        """Return LiveKit's ids of the entries of participants."""
        return tuple(self.remote_participants[one].sid for one in identities)

    def leave(self, identity: str) -> None:
        """Remove a participant."""
        self.emit("participant_disconnected", self.remote_participants.pop(identity))

    async def disconnect(self) -> None:
        """Leave the room oneself."""
        self.left = True


class FakeText:
    """A text stream that arrives in chunks, until the reader stops."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self.left = list(pieces)
        self.closed = False

    def __aiter__(self) -> "FakeText":
        return self

    async def __anext__(self) -> str:
        if not self.left or self.closed:
            raise StopAsyncIteration
        return self.left.pop(0)

    def close(self) -> None:
        """Read no more of it."""
        self.closed = True
