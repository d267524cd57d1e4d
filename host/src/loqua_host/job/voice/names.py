"""Learners' names in the chat context for a language model, if there are several learners."""

from collections import Counter
from collections.abc import Iterable, Mapping

from livekit.agents.llm import ChatContext, ChatItem, ChatMessage

from loqua_host.contract.learner import Learner
from loqua_host.contract.turns import learner_of

__all__ = ["LONGEST_NAME", "with_names"]

LONGEST_NAME = 40
"""Maximum characters of a name; longer ones are cut."""


def with_names(context: ChatContext, present: Iterable[Learner]) -> ChatContext:
    """Return a chat context with the learner's name before each of their messages.

    With only one learner, in the room and in the context, return it unchanged.

    Args:
        context: The chat context, which is not modified.
        present: The learners in the room.
    """
    spoken = [learner_of(item) for item in context.messages()]
    learners = {one.user_id: one for one in (*filter(None, spoken), *present)}
    if len(learners) < 2:  # noqa: PLR2004  # names are needed for several only
        return context
    names = _names(learners.values())
    return ChatContext([_named(item, names) for item in context.items])


def _names(learners: Iterable[Learner]) -> Mapping[str, str]:
    """Return a name for each user_id; equal names get the user_id appended."""
    names = {one.user_id: " ".join(one.display_name.split())[:LONGEST_NAME] for one in learners}
    shared = Counter(name.casefold() for name in names.values())
    return {
        user_id: name if name and shared[name.casefold()] == 1 else f"{name} ({user_id})".strip()
        for user_id, name in names.items()
    }


def _named(item: ChatItem, names: Mapping[str, str]) -> ChatItem:
    learner = learner_of(item) if isinstance(item, ChatMessage) else None
    if learner is None or not isinstance(item, ChatMessage):
        return item
    # Names are reduced to one line, so that nobody can forge another's messages.
    text = " ".join((item.raw_text_content or "").split())
    others = [part for part in item.content if not isinstance(part, str)]
    content = [f"{names[learner.user_id]}: {text}", *others]
    return item.model_copy(update={"content": content})
