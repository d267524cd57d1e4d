"""Methods of LiveKit's Agent that a tutor overrides, and whether LiveKit can call them."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from livekit.agents import Agent

__all__ = ["agent_classes", "is_within", "override_faults", "packages_of", "place_of"]

LIVEKIT: Final = "livekit"

FOREIGN: Final = frozenset({LIVEKIT, "loqua_host", "builtins", "typing", "abc"})
"""Packages that have a part in each agent and are not its author's."""

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def agent_classes(packages: Iterable[str]) -> list[type[Agent]]:
    """Return the Agent classes that modules of these packages define, as far as imported."""
    packages = frozenset(packages)
    return [found for found in _subclasses(Agent) if is_within(found.__module__, packages)]


def is_within(module: str, packages: Iterable[str]) -> bool:
    """Return whether a module is one of these packages or in one of them."""
    return module.partition(".")[0] in packages


def packages_of(agent_class: type) -> frozenset[str]:
    """Return the top-level packages that a class is written in, without those of others."""
    modules = (one.__module__.partition(".")[0] for one in agent_class.__mro__)
    return frozenset(modules) - FOREIGN


def override_faults(agent_class: type[Agent]) -> Iterator[str]:
    """Yield each override that LiveKit cannot call as it may call the method of `Agent`.

    Which arguments LiveKit passes by name changes with its releases (livekit-agents 1.8.9 passes
    `new_message` so), so an override takes each by position and by name, as the base does.
    """
    for name, base in vars(Agent).items():
        if name.startswith("_") or not inspect.isfunction(base):
            continue
        owner = next(one for one in agent_class.__mro__ if name in vars(one))
        if not is_within(owner.__module__, [LIVEKIT]):
            yield from _faults(owner, name, base)


def _faults(owner: type, name: str, base: Callable[..., Any]) -> Iterator[str]:
    override = getattr(owner, name)
    if not callable(override):
        yield f"{owner.__qualname__}.{name} is no method, and LiveKit calls it; rename it"
        return
    bound = isinstance(vars(owner)[name], staticmethod | classmethod)
    own = list(inspect.signature(override).parameters.values())[not bound :]
    expected = list(inspect.signature(base).parameters.values())[1:]
    wrong = [*_not_taken(own, expected), *_not_passed(own, expected)]
    if inspect.iscoroutinefunction(base) and not inspect.iscoroutinefunction(override):
        wrong.append("LiveKit awaits it")
    if wrong:
        colour = "async def" if inspect.iscoroutinefunction(base) else "def"
        arguments = ", ".join(inspect.signature(base).parameters)
        what = f"{owner.__qualname__}.{name}{place_of(override)}: {', '.join(wrong)}"
        yield f"{what}; write {colour} {name}({arguments})"


def _not_taken(own: list[inspect.Parameter], expected: list[inspect.Parameter]) -> Iterator[str]:
    """Yield which arguments of LiveKit's an override does not take, by position or by name."""
    kinds = {parameter.kind for parameter in own}
    named = {parameter.name for parameter in own if parameter.kind in _NAMED}
    positional = [parameter.name for parameter in own if parameter.kind in _POSITIONAL]
    for position, parameter in enumerate(expected):
        name = parameter.name
        by_name = name in named or parameter.VAR_KEYWORD in kinds
        by_position = parameter.kind is parameter.KEYWORD_ONLY or (
            positional[position] == name
            if position < len(positional)
            else parameter.VAR_POSITIONAL in kinds
        )
        if not (by_name and by_position):
            yield f"LiveKit passes {name!r}"


def _not_passed(own: list[inspect.Parameter], expected: list[inspect.Parameter]) -> Iterator[str]:
    """Yield which arguments an override cannot do without and LiveKit does not pass.

    One that stands in the place of another is named as that already.
    """
    known = {parameter.name for parameter in expected}
    spare = own[len(expected) :] + [one for one in own if one.kind is one.KEYWORD_ONLY]
    for parameter in dict.fromkeys(spare):
        required = parameter.default is parameter.empty and parameter.kind in _POSITIONAL + _NAMED
        if required and parameter.name not in known:
            yield f"LiveKit passes no {parameter.name!r}"


def place_of(function: Callable[..., Any]) -> str:
    """Return a function's file and line as ` (tutor.py:12)`, or nothing if it has none."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f" ({Path(code.co_filename).name}:{code.co_firstlineno})" if code else ""


def _subclasses(of: type[Agent]) -> Iterator[type[Agent]]:
    for one in of.__subclasses__():
        yield one
        yield from _subclasses(one)
