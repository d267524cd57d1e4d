"""Turns of agents without a language model, which LiveKit leaves out of the conversation."""

from collections.abc import Awaitable, Callable
from typing import Any

from livekit.agents import Agent, AgentSession, ConversationItemAddedEvent
from livekit.agents.llm import ChatContext, ChatMessage
from livekit.agents.utils import is_given

from .nodes import replace

__all__ = ["UnansweredTurns"]


class UnansweredTurns:
    """Add a learner's turn to the conversation if no language model answers it.

    LiveKit adds a turn together with the model's answer. Without one, checkpoints, progress and
    handoffs would know what the tutor said alone.
    """

    def __init__(self, session: "AgentSession[Any]") -> None:
        self._session = session

    def attach(self, agent: Agent) -> None:
        """Add an agent's turns before it handles them."""
        complete_turn = self._adding(agent, agent.on_user_turn_completed)
        replace(agent, "on_user_turn_completed", complete_turn)

    def _adding(
        self, agent: Agent, complete_turn: Callable[..., Awaitable[None]]
    ) -> Callable[..., Any]:
        async def on_user_turn_completed(turn_ctx: ChatContext, new_message: ChatMessage) -> None:
            if (agent.llm if is_given(agent.llm) else self._session.llm) is None:
                self._session.history.insert(new_message)
                added = ConversationItemAddedEvent(item=new_message)
                self._session.emit("conversation_item_added", added)
            await complete_turn(turn_ctx, new_message=new_message)

        return on_user_turn_completed
