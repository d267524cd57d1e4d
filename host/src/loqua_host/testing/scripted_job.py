"""A job of a script: the host's own code of a job, in this process instead of one of its own."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final

from livekit.agents import AgentSession, ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage

from loqua_host.contract.lesson import current_lesson, teach
from loqua_host.errors import LearnerError, LinkError
from loqua_host.job.engines.build import EngineWatch
from loqua_host.job.entrypoint import JobEntrypoint
from loqua_host.job.tracing import SpanBuffer
from loqua_host.link.client import keepalive
from loqua_host.link.messages import Welcome
from loqua_host.registry.loader import LoadedTutor
from loqua_host.settings.jobs import JobSettings

from .fake_room import FakeRoom
from .sockets import MemoryLink
from .voice import TextSession

__all__ = ["ScriptedJob"]

KILL_SECONDS: Final = 10.0
"""Virtual seconds for the tasks of a killed job to end; those of a process cannot go on."""


class JobInRoom:
    """The part of LiveKit's job context that a job uses."""

    def __init__(self, room: FakeRoom, metadata: str) -> None:
        self.room = room
        self.job = SimpleNamespace(metadata=metadata)
        self.proc = SimpleNamespace(userdata={"spans": SpanBuffer()})
        self.log_context_fields: dict[str, Any] = {}

    async def wait_for_participant(self, *, kind: list[int]) -> Any:
        """Return the first participant of one of these kinds."""
        entered = asyncio.Event()
        self.room.on("participant_connected", on := lambda _: entered.set())
        try:
            while True:
                for one in self.room.remote_participants.values():
                    if one.kind in kind:
                        return one
                entered.clear()
                await entered.wait()
        finally:
            self.room.off("participant_connected", on)


@dataclass(frozen=True, slots=True)
class TextEntrypoint(JobEntrypoint):
    """The entry point of a job that speaks by text.

    Attributes:
        session: The session of its lesson.
    """

    session: TextSession

    def build_session(self, _welcome: Welcome, _engines: EngineWatch) -> "AgentSession[None]":
        """Return the session of its lesson."""
        return self.session


@dataclass
class ScriptedJob:
    """A job from its start to its end.

    Attributes:
        settings: The settings of its tutor.
        link: Its link.
        ctx: Its room.
        session: Its voice session.
    """

    settings: JobSettings
    link: MemoryLink
    ctx: JobInRoom
    session: TextSession
    task: "asyncio.Task[None] | None" = field(default=None)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def teach(self, tutor: LoadedTutor) -> None:
        """Teach until the lesson has ended or the job was killed."""
        self.task = asyncio.create_task(self._run(tutor))
        self.task.add_done_callback(lambda _: self._ended.set())
        await self._ended.wait()

    async def _run(self, tutor: LoadedTutor) -> None:
        entrypoint = TextEntrypoint(self.settings, self.session)
        try:
            async with keepalive(self.link.host):
                ctx: Any = self.ctx
                with suppress(LearnerError, LinkError):
                    await entrypoint.serve(ctx, self.link.host, tutor, track=None)
        finally:
            teach(None)
            await self.link.cut()

    def hears(self, user_id: str) -> bool:
        """Return whether the tutor hears a learner: its own, or all that the host has verified."""
        lesson = current_lesson()
        others = lesson.others if self.settings.tutor.audio_input == "all" else ()
        return user_id in {one.user_id for one in (lesson.learner, *others)}

    async def kill(self) -> None:
        """End the job without a word to its host, as the death of a process does."""
        await self.link.cut()
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=KILL_SECONDS)
        closing = asyncio.create_task(self.session.aclose())
        await asyncio.wait({closing}, timeout=KILL_SECONDS)
        self._ended.set()

    def note_replies(self, note: Callable[[str], None]) -> None:
        """Note what the tutor says, as it is said."""

        def on_item(event: ConversationItemAddedEvent) -> None:
            item = event.item
            if isinstance(item, ChatMessage) and item.role == "assistant" and item.text_content:
                note(item.text_content)

        self.session.on("conversation_item_added", on_item)
