"""Speakers of messages and transcripts."""

import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any
from weakref import WeakSet

from livekit.agents import Agent, ConversationItemAddedEvent
from livekit.agents.llm import LLM, ChatContext, ChatMessage, LLMStream
from livekit.agents.stt import SpeechEvent

from loqua_host.contract.learner import Learner
from loqua_host.contract.lesson import Lesson
from loqua_host.contract.turns import LEARNER_KEY

from .levels import Levels
from .names import with_names
from .nodes import replace, through
from .segments import LEAD_SECONDS, Segments

__all__ = ["Speakers"]


class Speakers:
    """Identify who said what among the learners that a tutor hears.

    Args:
        lesson: The lesson.
        levels: The levels of all learners; None if the tutor hears its own learner only.
        clock: The wall clock in seconds, used by levels and LiveKit's metrics.
    """

    def __init__(
        self, lesson: Lesson, levels: Levels | None, clock: Callable[[], float] = time.time
    ) -> None:
        self._lesson = lesson
        self._levels = levels
        self._segments = Segments(levels, clock) if levels is not None else None
        self._learners: dict[str, Learner] = {}
        self._turn_end = 0.0
        self._models: WeakSet[LLM[Any]] = WeakSet()

    def watch(self) -> None:
        """Follow the session from now on."""
        self._lesson.session.on("conversation_item_added", self._on_item)

    def unwatch(self) -> None:
        """Follow it no longer."""
        self._lesson.session.off("conversation_item_added", self._on_item)

    def update(self, learners: Iterable[Learner]) -> None:
        """Set the learners the tutor hears from now on; earlier speech keeps its speaker."""
        self._learners |= {one.identity: one for one in learners}

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        """Note a turn that bypassed `Agent`'s callback."""
        item = event.item
        if isinstance(item, ChatMessage) and item.transcript_confidence is not None:
            self._mark(item)

    def _mark(self, message: ChatMessage) -> None:
        if LEARNER_KEY not in message.extra:
            message.extra[LEARNER_KEY] = self._learner_of(message)

    def _learner_of(self, message: ChatMessage) -> Learner:
        """Return who spoke in a turn, if LiveKit provides its time; else the lesson's learner."""
        own = self._lesson.learner
        if self._levels is None:
            return own
        start = message.metrics.get("started_speaking_at", 0.0) - LEAD_SECONDS
        end = message.metrics.get("stopped_speaking_at", message.created_at)
        identity = self._levels.loudest(max(self._turn_end, start), end)
        self._turn_end = max(self._turn_end, end)
        return self._learners.get(identity, own) if identity else own

    def attach(self, agent: Agent) -> None:
        """Mark the speaker of an agent's turns and, with several, of its transcripts."""
        replace(agent, "on_user_turn_completed", self._marking(agent.on_user_turn_completed))
        if self._segments is None:
            return
        replace(agent, "stt_node", through(agent.stt_node, gives=_labelled(self._segments)))
        for model in (agent.llm, self._lesson.session.llm):
            if isinstance(model, LLM) and model not in self._models:
                self._models.add(model)
                replace(model, "chat", self._naming(model.chat))

    def _marking(self, complete_turn: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        async def on_user_turn_completed(turn_ctx: ChatContext, new_message: ChatMessage) -> None:
            self._mark(new_message)
            await complete_turn(turn_ctx, new_message=new_message)

        return on_user_turn_completed

    def _naming(self, chat: Callable[..., LLMStream]) -> Callable[..., LLMStream]:
        def chat_with_names(*, chat_ctx: ChatContext, **options: Any) -> LLMStream:
            present = (self._lesson.learner, *self._lesson.others)
            return chat(chat_ctx=with_names(chat_ctx, present), **options)

        return chat_with_names


def _labelled(
    segments: Segments,
) -> Callable[[AsyncIterable[SpeechEvent | str]], AsyncIterator[SpeechEvent | str]]:
    """Return a function that sets the speakers' identities on recognition events."""

    async def label(events: AsyncIterable[SpeechEvent | str]) -> AsyncIterator[SpeechEvent | str]:
        async for event in events:
            if isinstance(event, SpeechEvent):
                speaker = segments.speaker(event)
                for heard in event.alternatives:
                    heard.speaker_id = speaker
            yield event

    return label
