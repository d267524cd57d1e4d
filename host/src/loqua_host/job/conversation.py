"""What was said in a lesson: told on, and given back to a tutor that was restored."""

from collections.abc import Iterable
from itertools import islice

from livekit.agents import Agent, AgentSession
from livekit.agents.llm import ChatContext, ChatMessage

from loqua_host.contract.handoff import LONGEST_UTTERANCE, Utterance

__all__ = ["last_sentences", "recall"]

ROLES = {"user": "learner", "assistant": "tutor"}


def last_sentences(session: "AgentSession[None]", count: int) -> tuple[Utterance, ...]:
    """Get the last things said, oldest first, each cut where it is too long."""
    said = (
        Utterance.model_validate({"speaker": ROLES[message.role], "text": _text(message)})
        for message in reversed(session.history.messages())
        if message.role in ROLES and message.text_content
    )
    return tuple(reversed(list(islice(said, count))))


async def recall(session: "AgentSession[None]", agent: Agent, turns: Iterable[Utterance]) -> None:
    """Put what was said before into a session and its agent, neither of which has begun.

    An agent that brings a conversation of its own keeps that.
    """
    _add(session.history, turns)
    context = agent.chat_ctx.copy()
    if not any(message.role in ROLES for message in context.messages()):
        _add(context, turns)
        await agent.update_chat_ctx(context)


def _add(context: ChatContext, turns: Iterable[Utterance]) -> None:
    for turn in turns:
        context.add_message(
            role="user" if turn.speaker == "learner" else "assistant", content=turn.text
        )


def _text(message: ChatMessage) -> str:
    return (message.text_content or "")[:LONGEST_UTTERANCE]
