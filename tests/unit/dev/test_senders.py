"""Texts of a room, whose senders LiveKit reports on another channel."""

import asyncio
from types import SimpleNamespace

import pytest
from livekit import rtc
from livekit.protocol.agent_pb import agent_session as pb

from loqua_host.dev.hearing import Hearing
from loqua_host.dev.learner import LearnerInRoom
from loqua_host.dev.senders import Senders
from loqua_host.dev.timeline import print_streams
from loqua_host.testing.fake_room import FakeRoom, FakeText
from loqua_host.testing.virtual_time import VirtualLoop

LOOP = VirtualLoop
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


class Room(FakeRoom):
    """A room in which a specialist may be."""

    def specialist(self) -> None:
        """Let it enter."""
        self.enter("agent-1", AGENT, lk_agent_name="grammar-specialist")


class Text(FakeText):
    """A finished segment of a transcript."""

    info = SimpleNamespace(attributes={"lk.transcription_final": "true"})


class Description:
    """A session's description of itself, in one chunk."""

    def __init__(self) -> None:
        said = pb.ChatMessage(role=pb.ASSISTANT, content=[pb.ChatMessage.ChatContent(text="Adiós")])
        added = pb.AgentSessionEvent.ConversationItemAdded(
            item=pb.ChatContext.ChatItem(message=said)
        )
        event = pb.AgentSessionEvent(conversation_item_added=added)
        self.left = [pb.AgentSessionMessage(event=event).SerializeToString()]

    def __aiter__(self) -> "Description":
        return self

    async def __anext__(self) -> bytes:
        if not self.left:
            raise StopAsyncIteration
        return self.left.pop()


async def test_a_learner_knows_whose_words_arrive_after_the_tutor_has_left() -> None:
    """Under its agent name, as all that it said before."""
    room, hearing = Room(), Hearing(lambda _: None, 0.7, 15.0)
    async with asyncio.TaskGroup() as tasks:
        LearnerInRoom(room, hearing, tasks, 0.0)  # type: ignore[arg-type]  # a fake
        room.specialist()
        room.leave("agent-1")
        room.readers["lk.transcription"](Text(["Adiós"]), "agent-1")
    assert [one.speaker for one in hearing.transcript] == ["grammar-specialist"]


async def test_a_learner_knows_whose_words_arrive_before_the_tutor() -> None:
    """The learner waits for the news of who it is."""
    room, hearing = Room(), Hearing(lambda _: None, 0.7, 15.0)
    async with asyncio.TaskGroup() as tasks:
        LearnerInRoom(room, hearing, tasks, 0.0)  # type: ignore[arg-type]  # a fake
        room.readers["lk.transcription"](Text(["Hola"]), "agent-1")
        await asyncio.sleep(1)
        room.specialist()
    assert [one.speaker for one in hearing.transcript] == ["grammar-specialist"]


async def test_a_timeline_shows_what_arrives_after_the_tutor_has_left() -> None:
    """Often the last words of a lesson are what one looks for."""
    room, streams, lines = Room(), asyncio.Queue(), list[str]()
    room.specialist()
    senders = Senders(room)  # type: ignore[arg-type]  # a fake
    streams.put_nowait((Description(), "agent-1"))
    room.leave("agent-1")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(print_streams(senders, streams, lines.append), 10)
    assert [line.partition(" ")[2] for line in lines] == ["Agent-1: tutor said: Adiós"]


async def test_a_timeline_shows_nothing_that_strangers_send() -> None:
    """Neither learners nor those whom nobody has seen."""
    room, streams, lines = Room(), asyncio.Queue(), list[str]()
    room.enter("learner")
    for identity in ("learner", "nobody"):
        streams.put_nowait((Description(), identity))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(
            print_streams(Senders(room), streams, lines.append),  # type: ignore[arg-type]  # a fake
            10,
        )
    assert lines == []
