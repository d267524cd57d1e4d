"""The conversation of a lesson: its last utterances, their restoration, and chat messages."""

import contextlib
from collections.abc import Iterable
from itertools import islice
from typing import Literal

from livekit.agents import Agent, AgentSession, StopResponse
from livekit.agents.llm import ChatContext, ChatMessage

from loqua_host.contract.handoff import LONGEST_UTTERANCE, Utterance
from loqua_host.contract.learner import Learner
from loqua_host.contract.turns import LEARNER_KEY, TYPED_KEY, learner_of

__all__ = ["answer_typed", "last_sentences", "recall", "well_formed"]

ROLES = {"user": "learner", "assistant": "tutor"}


def last_sentences(session: "AgentSession[None]", count: int) -> tuple[Utterance, ...]:
    """Return the last utterances, oldest first, each cut if it is too long."""
    said = (
        Utterance.model_validate(
            {"speaker": ROLES[message.role], "text": _text(message), "learner": _user_id(message)}
        )
        for message in reversed(session.history.messages())
        if message.role in ROLES and message.text_content
    )
    return tuple(reversed(list(islice(said, count))))


async def recall(session: "AgentSession[None]", agent: Agent, turns: Iterable[Utterance]) -> None:
    """Restore earlier turns in a session and its agent, before either has started.

    An agent with a chat context of its own keeps it.
    """
    _add(session.history, turns)
    context = agent.chat_ctx.copy()
    if not any(message.role in ROLES for message in context.messages()):
        _add(context, turns)
        await agent.update_chat_ctx(context)


async def answer_typed(session: "AgentSession[None]", learner: Learner, text: str) -> None:
    """Pass typed text to the agent as if it had been spoken.

    LiveKit's own way goes to the language model at once, past `on_user_turn_completed`.
    """
    agent = session.current_agent
    marks = {TYPED_KEY: True, LEARNER_KEY: learner}
    message = ChatMessage(role="user", content=[text], extra=marks)
    context = agent.chat_ctx.copy()
    try:
        # As LiveKit does (voice/agent_activity.py): an agent with audio disabled ignores text too.
        await agent.on_user_turn_completed(context, new_message=message)
    except StopResponse:
        return
    # A tutor without a language model has answered by now.
    with contextlib.suppress(RuntimeError):
        session.generate_reply(user_input=message, chat_ctx=context)


def _add(context: ChatContext, turns: Iterable[Utterance]) -> None:
    for turn in turns:
        role: Literal["user", "assistant"] = "user" if turn.speaker == "learner" else "assistant"
        message = context.add_message(role=role, content=turn.text)
        if turn.learner:
            message.extra[LEARNER_KEY] = Learner(user_id=turn.learner, identity="")


def _user_id(message: ChatMessage) -> str:
    learner = learner_of(message)
    return learner.user_id if learner else ""


def _text(message: ChatMessage) -> str:
    return well_formed((message.text_content or "")[:LONGEST_UTTERANCE])


def well_formed(text: str) -> str:
    """Return a text without lone surrogates, which language models produce and UTF-8 forbids."""
    return text.encode(errors="replace").decode()
