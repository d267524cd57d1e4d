"""Import and validation of a tutor's plugin, in jobs and in the inspection's child process."""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pluggy
from livekit.agents import Agent
from pydantic import BaseModel

from loqua_host.contract import hookspecs
from loqua_host.contract.hookspecs import PROJECT
from loqua_host.contract.tutor import Tutor
from loqua_host.errors import TutorError

from .hosted import HostedAgent
from .overrides import agent_classes, override_faults, packages_of, place_of

__all__ = ["BrokenTutorError", "LoadedTutor", "import_string", "load_plugin"]

_MARK = f"{PROJECT}_impl"
_REFUSED_OPTIONS = ("wrapper", "hookwrapper", "tryfirst", "trylast", "specname")
_REQUIRED = ("register_tutor", "create_agent")


class BrokenTutorError(TutorError):
    """A plugin violates the contract; contains all faults."""

    def __init__(self, source: str, faults: list[str]) -> None:
        self.faults = faults
        super().__init__(f"plugin {source!r}: {'; '.join(faults)}")


@dataclass(frozen=True, slots=True)
class LoadedTutor:
    """A tutor whose hooks conform to the contract.

    Attributes:
        source: The plugin's entry-point name, or `module:Class` of an agent.
        manager: The plugin manager with only this plugin.
        tutor: What the plugin declares.
        packages: The top-level packages of its code.
    """

    source: str
    manager: pluggy.PluginManager
    tutor: Tutor
    packages: frozenset[str] = frozenset()

    def read_settings(self, written: Mapping[str, Any]) -> BaseModel:
        """Return the tutor's settings as an instance of its model.

        An unknown key is an error, unless the model allows any.

        Raises:
            ValidationError: If the settings do not fit the model.
        """
        model = self.tutor.settings
        allows_any = model.model_config.get("extra") == "allow"
        return model.model_validate(written, extra="allow" if allows_any else "forbid")


def load_plugin(*, plugin: str | None = None, agent: str | None = None) -> LoadedTutor:
    """Import a tutor by its plugin's entry-point name, or a bare agent by `module:Class`.

    Exceptions of the import itself are the plugin's own and are not converted.

    Raises:
        BrokenTutorError: If the plugin violates the contract, with all faults.
    """
    source = agent or plugin or ""
    hosted = _host_agent(agent) if agent else _import_plugin(source)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    if hook_errors := list(_hook_errors(manager, hosted)):
        raise BrokenTutorError(source, hook_errors)
    try:
        manager.register(hosted, source)
    except pluggy.PluginValidationError as error:
        raise BrokenTutorError(source, [str(error)]) from error
    packages = _packages(manager, hosted)
    if faults := [*_faults(manager, hosted), *_agent_faults(packages)]:
        raise BrokenTutorError(source, faults)
    tutor = _declare(source, manager)
    if others := list(_settings_faults(manager, tutor.settings)):
        raise BrokenTutorError(source, others)
    return LoadedTutor(source, manager, tutor, packages)


def import_string(spec: str) -> Any:
    """Import an object by its path, `module:attribute`.

    Raises:
        ImportError: If there is no such module.
        AttributeError: If the module has no such attribute.
    """
    module, _, attribute = spec.partition(":")
    target: Any = importlib.import_module(module)
    for name in attribute.split("."):
        target = getattr(target, name)
    return target


def _import_plugin(name: str) -> object:
    points = tuple(entry_points(group=PROJECT, name=name))
    if not points:
        there = ", ".join(sorted(entry_points(group=PROJECT).names)) or "none"
        fault = f"no installed distribution offers it (installed: {there}); install one that does"
        raise BrokenTutorError(name, [fault])
    if len(points) > 1:
        fault = f"{len(points)} installed distributions offer it; install exactly one"
        raise BrokenTutorError(name, [fault])
    plugin: object = points[0].load()
    return plugin


def _hook_errors(manager: pluggy.PluginManager, plugin: object) -> Iterator[str]:
    """Yield unknown hooks and arguments, with clearer messages than pluggy's."""
    hooks = _hooks()
    for name in dir(plugin):
        if manager.parse_hookimpl_opts(plugin, name) is None:
            continue
        if name in hooks:
            yield from _argument_faults(name, getattr(plugin, name))
        else:
            similar = get_close_matches(name, hooks, 1) or hooks
            place = place_of(getattr(plugin, name))
            yield f"{name}{place} is no hook; write {' or '.join(similar)}"


def _argument_faults(hook: str, implementation: Callable[..., object]) -> Iterator[str]:
    known = inspect.signature(vars(hookspecs)[hook]).parameters
    for name, argument in inspect.signature(implementation).parameters.items():
        if name not in known and argument.default is argument.empty:
            called = f"{hook}{place_of(implementation)}"
            yield f"{called} gets no {name!r}; name only what it gets: {', '.join(known) or 'none'}"


def _faults(manager: pluggy.PluginManager, plugin: object) -> Iterator[str]:
    for hook in _hooks():
        implementations = getattr(manager.hook, hook).get_hookimpls()
        if implementations:
            yield from _hook_faults(hook, implementations[0])
        elif callable(getattr(plugin, hook, None)):
            place = place_of(getattr(plugin, hook))
            yield f"{hook}{place} is not marked; write @hookimpl above it"
        elif hook in _REQUIRED:
            yield f"{hook} is missing; every tutor has one"


def _packages(manager: pluggy.PluginManager, plugin: object) -> frozenset[str]:
    """Return the top-level packages of a tutor's own code."""
    if isinstance(plugin, HostedAgent):
        return packages_of(plugin.agent_class)
    hooks = (getattr(manager.hook, hook).get_hookimpls() for hook in _hooks())
    modules = {one.function.__module__ for implementations in hooks for one in implementations}
    return frozenset(module.partition(".")[0] for module in modules)


def _agent_faults(packages: frozenset[str]) -> Iterator[str]:
    """Yield methods that LiveKit cannot call, each once although classes inherit them."""
    faults = (fault for one in agent_classes(packages) for fault in override_faults(one))
    yield from dict.fromkeys(faults)


def _hook_faults(hook: str, implementation: pluggy.HookImpl) -> Iterator[str]:
    called = f"{hook}{place_of(implementation.function)}"
    for option in _REFUSED_OPTIONS:
        if implementation.opts.get(option):
            yield f"{called} sets {option}, which tutors may not; write a plain @hookimpl"
    asynchronous = inspect.iscoroutinefunction(implementation.function)
    if hook == "register_tutor" and asynchronous:
        yield f"{called} is async; write def"
    if hook != "register_tutor" and not asynchronous:
        yield f"{called} is not async; write async def"


def _settings_faults(manager: pluggy.PluginManager, declared: type[BaseModel]) -> Iterator[str]:
    """Yield each hook that is written for lessons with settings of another model."""
    for hook in _hooks():
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            for model in get_args(_hints(implementation.function).get("lesson")):
                if isinstance(model, type) and not issubclass(declared, model):
                    yield (
                        f"{hook}{place_of(implementation.function)} takes a "
                        f"Lesson[{model.__name__}], and register_tutor declares "
                        f"settings={declared.__name__}; write one model in both"
                    )


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    """Return a function's annotations, none if they cannot be evaluated.

    Names that are imported for type checkers alone are not there, and an annotation may raise
    anything.
    """
    try:
        return get_type_hints(function)
    except Exception:  # noqa: BLE001 - as said above
        return {}


def _hooks() -> list[str]:
    return [name for name in vars(hookspecs) if hasattr(vars(hookspecs)[name], f"{PROJECT}_spec")]


def _declare(source: str, manager: pluggy.PluginManager) -> Tutor:
    [tutor] = manager.hook.register_tutor() or [None]
    if not isinstance(tutor, Tutor):
        fault = f"register_tutor returns {type(tutor).__name__}; return a loqua_host.Tutor"
        raise BrokenTutorError(source, [fault])
    if not (isinstance(tutor.settings, type) and issubclass(tutor.settings, BaseModel)):
        fault = "Tutor(settings=…) is no model; give a subclass of pydantic.BaseModel"
        raise BrokenTutorError(source, [fault])
    return tutor


def _host_agent(spec: str) -> HostedAgent:
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # last, so that nothing there shadows installed packages
    agent_class = import_string(spec)
    if not (isinstance(agent_class, type) and issubclass(agent_class, Agent)):
        raise BrokenTutorError(spec, ["is no LiveKit agent; name a subclass of livekit's Agent"])
    try:
        inspect.signature(agent_class).bind()
    except TypeError as error:
        raise BrokenTutorError(spec, [f"cannot be created without arguments: {error}"]) from error
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", agent_class.__name__)
    return HostedAgent("-".join(words).lower(), agent_class)
