"""A conversation of several learners, as a language model is to read it: with their names."""

from collections import Counter
from collections.abc import Iterable, Mapping

from livekit.agents.llm import ChatContext, ChatItem, ChatMessage

from loqua_host.contract.learner import Learner
from loqua_host.contract.turns import learner_of

__all__ = ["LONGEST_NAME", "with_names"]

LONGEST_NAME = 40
"""Characters of a name; the rest is cut."""


def with_names(context: ChatContext, present: Iterable[Learner]) -> ChatContext:
    """Return a conversation in which a learner's name stands before each thing they said.

    Where there is one learner alone, in the room and in the conversation, it is returned as it is.

    Args:
        context: The conversation; it stays as it is.
        present: The learners who take part now.
    """
    spoken = [learner_of(item) for item in context.messages()]
    learners = {one.user_id: one for one in (*filter(None, spoken), *present)}
    if len(learners) < 2:  # noqa: PLR2004  # one has nobody to be told from
        return context
    names = _names(learners.values())
    return ChatContext([_named(item, names) for item in context.items])


def _names(learners: Iterable[Learner]) -> Mapping[str, str]:
    """Return a name for each user_id; two of one name have their user_id with it."""
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
    # In one line: nobody may write lines that look like another's.
    text = " ".join((item.raw_text_content or "").split())
    others = [part for part in item.content if not isinstance(part, str)]
    content = [f"{names[learner.user_id]}: {text}", *others]
    return item.model_copy(update={"content": content})
