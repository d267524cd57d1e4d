"""Overrides of LiveKit's Agent: those that LiveKit cannot call are reported."""

import functools
import inspect
from collections.abc import AsyncIterable, Callable
from typing import Any

import pytest
from livekit.agents import Agent, AgentTask

from loqua_host.registry.overrides import agent_classes, override_faults, packages_of

PACKAGE = "tutor_with_overrides"


def fault_of(agent_class: type[Agent]) -> str:
    """Return the only fault of a class, without its place."""
    [fault] = override_faults(agent_class)
    return fault


def agent_with(**methods: Any) -> type[Agent]:
    """Return an Agent class with these methods, in a package that no other test has loaded."""
    return type("Mine", (Agent,), {"__module__": PACKAGE, **methods})


async def renamed(self: Any, turn_ctx: Any, said: Any) -> None:
    """Take the message by another name, as many people write it."""


async def unnamed(self: Any, _: Any, new_message: Any) -> None:
    """Take what it does not need without a name."""


async def by_position(self: Any, turn_ctx: Any, new_message: Any, /) -> None:
    """Take no argument by name."""


async def swapped(self: Any, new_message: Any, turn_ctx: Any) -> None:
    """Take both, but not in their places."""


async def by_name(self: Any, *, turn_ctx: Any, new_message: Any) -> None:
    """Take no argument by position."""


async def too_few(self: Any, turn_ctx: Any) -> None:
    """Take the first one alone."""


async def greedy(self: Any, turn_ctx: Any, new_message: Any, lesson: Any) -> None:
    """Require an argument that LiveKit does not have."""


async def greedy_by_name(self: Any, turn_ctx: Any, new_message: Any, *, lesson: Any) -> None:
    """Require it by keyword."""


async def only_positional(self: Any, *arguments: Any) -> None:
    """Take anything, but not by name."""


def synchronous(self: Any, turn_ctx: Any, new_message: Any) -> None:
    """Return nothing that LiveKit could await."""


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        (renamed, "LiveKit passes 'new_message'"),
        (unnamed, "LiveKit passes 'turn_ctx'"),
        (by_position, "LiveKit passes 'turn_ctx', LiveKit passes 'new_message'"),
        (swapped, "LiveKit passes 'turn_ctx', LiveKit passes 'new_message'"),
        (by_name, "LiveKit passes 'turn_ctx', LiveKit passes 'new_message'"),
        (too_few, "LiveKit passes 'new_message'"),
        (greedy, "LiveKit passes no 'lesson'"),
        (greedy_by_name, "LiveKit passes no 'lesson'"),
        (only_positional, "LiveKit passes 'turn_ctx', LiveKit passes 'new_message'"),
        (synchronous, "LiveKit awaits it"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_override_that_livekit_cannot_call_is_reported_with_what_to_write(
    override: Callable[..., Any], fault: str
) -> None:
    """With class, file and line, and the arguments as LiveKit has them."""
    line = override.__code__.co_firstlineno
    assert fault_of(agent_with(on_user_turn_completed=override)) == (
        f"Mine.on_user_turn_completed (test_overrides.py:{line}): {fault}; "
        "write async def on_user_turn_completed(self, turn_ctx, new_message)"
    )


async def same(self: Any, turn_ctx: Any, new_message: Any) -> None:
    """Take what LiveKit has."""


async def anything(self: Any, *arguments: Any, **named: Any) -> None:
    """Take whatever comes."""


async def more(
    this: Any, turn_ctx: Any, new_message: Any, lesson: Any = None, *, x: int = 0
) -> None:
    """Take more, which need not be given."""


async def rest(self: Any, turn_ctx: Any, *arguments: Any, **named: Any) -> None:
    """Take the first by name and the rest as it comes."""


@functools.wraps(same)
async def decorated(*arguments: Any, **named: Any) -> None:
    """Pass all of it on."""
    await same(*arguments, **named)


@pytest.mark.parametrize("override", [same, anything, more, rest, decorated])
def test_an_override_that_takes_what_livekit_passes_is_none(override: Any) -> None:
    """It may take more parameters."""
    assert list(override_faults(agent_with(on_user_turn_completed=override))) == []


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, base in vars(Agent).items()
        if inspect.isfunction(base) and not name.startswith("_")
    ],
)
def test_every_method_of_livekits_agent_is_looked_at(name: str) -> None:
    """Nodes and callbacks alike, those of later releases too."""

    async def override(self: Any, extra: Any, /) -> None:
        """Take what LiveKit does not pass by name, and ask for one more."""

    assert f"Mine.{name} (" in fault_of(agent_with(**{name: override}))
    assert list(override_faults(agent_with(**{name: vars(Agent)[name]}))) == []


def test_what_is_no_method_is_reported() -> None:
    """LiveKit would call a number."""
    assert fault_of(agent_with(on_enter=3)).startswith("Mine.on_enter is no method")


def test_what_livekit_itself_overrides_is_its_own_affair() -> None:
    """A task of its own, and a class of the author's over it, are looked at as they are."""

    class Task(AgentTask[None]):
        """A task that overrides one method."""

        __module__ = PACKAGE

        def tts_node(self, words: AsyncIterable[str], model_settings: Any) -> Any:
            """Take the text by another name."""

    assert "LiveKit passes 'text'" in fault_of(Task)
    assert list(override_faults(AgentTask)) == []


def test_an_override_is_inherited_with_its_fault() -> None:
    """The report names the class that defines it."""
    base = agent_with(on_user_turn_completed=renamed)
    assert fault_of(type("Derived", (base,), {"__module__": PACKAGE})).startswith("Mine.")


def test_agent_classes_are_found_in_the_packages_asked_for() -> None:
    """And in no others."""
    mine = agent_with()
    assert mine in agent_classes([PACKAGE])
    assert {found.__module__ for found in agent_classes([PACKAGE])} == {PACKAGE}


def test_the_packages_of_a_class_are_its_authors() -> None:
    """Not LiveKit's, nor Python's."""
    assert packages_of(agent_with()) == {PACKAGE}
    assert packages_of(AgentTask) == frozenset()
