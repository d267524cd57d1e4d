"""Wrappers for the nodes of agents, whose audio and text LiveKit reports in no event."""

import inspect
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any
from weakref import WeakSet

from livekit.agents import Agent, AgentSession, ConversationItemAddedEvent
from livekit.agents.llm import AgentHandoff

__all__ = ["Agents", "replace", "through"]

AgentHook = Callable[[Agent], None]


class Agents:
    """Call functions once for each agent of a session, including the first.

    Args:
        session: The voice session.
        attach: The functions, in order; those that wrap a node later are the outer wrappers.
    """

    def __init__(self, session: "AgentSession[Any]", attach: Iterable[AgentHook]) -> None:
        self._session = session
        self._hooks = tuple(attach)
        self._seen: WeakSet[Agent] = WeakSet()

    def watch(self) -> None:
        """Follow the session from now on."""
        self._session.on("conversation_item_added", self._on_item)

    def unwatch(self) -> None:
        """Follow it no longer."""
        self._session.off("conversation_item_added", self._on_item)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        agent = self._session.current_agent if isinstance(event.item, AgentHandoff) else None
        if agent is not None and agent not in self._seen:
            self._seen.add(agent)
            for attach in self._hooks:
                attach(agent)


def replace(owner: object, method: str, function: Callable[..., Any]) -> None:
    """Replace a method of one object."""
    vars(owner)[method] = function


def through(
    node: Callable[..., Any],
    *,
    given: Callable[[AsyncIterable[Any]], AsyncIterable[Any]] | None = None,
    gives: Callable[[AsyncIterable[Any]], AsyncIterable[Any]] | None = None,
) -> Callable[..., Any]:
    """Return a node whose input or output passes through a function."""

    async def passed(source: AsyncIterable[Any], settings: Any) -> Any:
        made = node(given(source) if given else source, settings)
        if inspect.iscoroutine(made):
            made = await made
        return gives(made) if gives and isinstance(made, AsyncIterable) else made

    return passed
