"""The timeline of a session, sent by its job in development."""

import asyncio
from types import SimpleNamespace
from typing import Any

from livekit.agents import AgentStateChangedEvent
from livekit.protocol.agent_pb import agent_session as pb
from livekit.rtc import EventEmitter

from loqua_host.livekit_internals import TIMELINE_TOPIC, TIMELINE_WATCHER, send_timeline


class RefusingRoom:
    """A room that records what it is sent, or refuses it."""

    def __init__(self) -> None:
        self.sent: list[tuple[pb.AgentSessionMessage, dict[str, Any]]] = []
        self.arrived = asyncio.Event()
        self.local_participant = SimpleNamespace(send_bytes=self.send)

    def isconnected(self) -> bool:
        """Return that it is."""
        return True

    async def send(self, data: bytes, **options: Any) -> None:
        """Keep a message."""
        message = pb.AgentSessionMessage()
        message.ParseFromString(data)
        self.sent.append((message, options))
        self.arrived.set()


async def test_a_session_s_events_go_to_the_watcher_alone_and_nothing_is_taken() -> None:
    """LiveKit's own transport would let anybody in the room drive the session: this has no ear."""
    session: Any = EventEmitter[str]()
    room: Any = RefusingRoom()
    sending = asyncio.create_task(send_timeline(session, room))
    await asyncio.sleep(0)
    session.emit(
        "agent_state_changed", AgentStateChangedEvent(old_state="idle", new_state="speaking")
    )
    await room.arrived.wait()
    sending.cancel()
    await asyncio.wait([sending])
    [(message, options)] = room.sent
    assert message.event.agent_state_changed.new_state == pb.AS_SPEAKING
    assert options["destination_identities"] == [TIMELINE_WATCHER]
    assert options["topic"] == TIMELINE_TOPIC == "lk.agent.session"
    session.emit(
        "agent_state_changed", AgentStateChangedEvent(old_state="speaking", new_state="idle")
    )
    assert len(room.sent) == 1
