"""What passes through an agent: LiveKit has no event for the sound and the words of its nodes."""

import inspect
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any
from weakref import WeakSet

from livekit.agents import Agent, AgentSession, ConversationItemAddedEvent
from livekit.agents.llm import AgentHandoff

__all__ = ["Agents", "replace", "through"]

Meet = Callable[[Agent], None]


class Agents:
    """Has each agent that begins to teach be met once, the first one among them.

    Args:
        session: The voice session.
        meet: Those who meet it, in order: whoever replaces a node later is outside.
    """

    def __init__(self, session: "AgentSession[Any]", meet: Iterable[Meet]) -> None:
        self._session = session
        self._meet = tuple(meet)
        self._met: WeakSet[Agent] = WeakSet()

    def watch(self) -> None:
        """Follow the session from now on."""
        self._session.on("conversation_item_added", self._on_item)

    def unwatch(self) -> None:
        """Follow it no longer."""
        self._session.off("conversation_item_added", self._on_item)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        agent = self._session.current_agent if isinstance(event.item, AgentHandoff) else None
        if agent is not None and agent not in self._met:
            self._met.add(agent)
            for meet in self._meet:
                meet(agent)


def replace(owner: object, method: str, function: Callable[..., Any]) -> None:
    """Replace a method of one object."""
    vars(owner)[method] = function


def through(
    node: Callable[..., Any],
    *,
    given: Callable[[AsyncIterable[Any]], AsyncIterable[Any]] | None = None,
    gives: Callable[[AsyncIterable[Any]], AsyncIterable[Any]] | None = None,
) -> Callable[..., Any]:
    """Return a node of which what it is given, or what it gives, passes through something else."""

    async def passed(source: AsyncIterable[Any], settings: Any) -> Any:
        made = node(given(source) if given else source, settings)
        if inspect.iscoroutine(made):
            made = await made
        return gives(made) if gives and isinstance(made, AsyncIterable) else made

    return passed
