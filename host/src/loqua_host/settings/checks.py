"""Checks across settings that are valid by themselves."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from loqua_host.errors import Problem
from loqua_host.system.environment import is_process_variable

from .host import Environment, HostSettings
from .loopback import is_loopback
from .network import network_problems
from .problems import KeyPath, printable, setting_paths
from .resources import RESOURCES
from .secrets import HOST_SECRETS
from .sources import ConfigSources
from .tracing import COLLECTORS, tracing_problems
from .tutors import TutorSettings
from .variables import (
    ADDRESSES,
    ENVIRONMENT,
    PREFIX,
    dotenv_file,
    read_dotenv,
    read_environ,
    tutor_prefix,
    variable_name,
)

__all__ = [
    "address_problems",
    "collector_problems",
    "environ_problems",
    "grant_problems",
    "plugin_problems",
    "tutor_problems",
    "variable_problems",
]

_RENAMING: Final = ("LIVEKIT_AGENT_NAME", "LIVEKIT_AGENT_NAME_OVERRIDE")
_ALIKE: Final = 0.75
"""The minimum similarity of a misspelt variable and its suggestion, from 0 to 1."""

_PLAIN: Final = frozenset({"http", "ws"})


def environ_problems(config: Path, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Find environment variables that are invalid or not allowed."""
    name = environ.get(ENVIRONMENT) or Environment.DEVELOPMENT
    if name not in set(Environment):
        known = ", ".join(Environment)
        yield Problem(ENVIRONMENT, "is not a known environment", f"write one of {known}")
    given = read_environ(config, environ)
    for variable in _RENAMING:
        if given.get(variable):
            what = "would rename every tutor of this host"
            yield Problem(variable, what, "unset it; set agent_name in config/tutors")
    yield from network_problems(environ)
    yield from tracing_problems(given)
    if name == Environment.PRODUCTION:
        yield from collector_problems(given)
    yield from _dotenv_problems(dotenv_file(config), name)


def _dotenv_problems(dotenv: Path, environment: str) -> Iterator[Problem]:
    """Find what is not allowed in `.env`, or with it."""
    if environment != Environment.DEVELOPMENT and dotenv.exists():
        hint = "remove the file and set its variables in the environment"
        yield Problem(str(dotenv), "is for development only", hint)
        return
    variables = read_dotenv(dotenv)
    if variables is None:
        yield Problem(str(dotenv), "cannot be read as UTF-8 text", "correct or remove the file")
    for name in variables or {}:
        if name == ENVIRONMENT or is_process_variable(name):
            what = "is read from the environment only"
            yield Problem(f"{dotenv}: {name}", what, "set it there, and remove it here")


def collector_problems(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Find collector addresses that are not encrypted."""
    addresses = [((name,), environ.get(name, "")) for name in COLLECTORS]
    yield from address_problems(addresses, lambda place: str(place[0]))


def variable_problems(sources: ConfigSources) -> Iterator[Problem]:
    """Find `LOQUA_…` variables that match no setting."""
    known = _variables_by_words(sources.tutors) if sources.unknown else {}
    for name, variable in sources.unknown:
        words = _words(name)
        near = [known[words]] if words in known else []
        near += [known[it] for it in known if it.endswith(f"_{words}")]
        near += [known[it] for it in get_close_matches(words, known, 1, _ALIKE)]
        hint = f"did you mean {near[0]}?" if near else "unset it; `check --explain` lists settings"
        yield Problem(printable(variable.shown), "matches no setting", hint)


def _variables_by_words(tutors: Iterable[str]) -> dict[str, str]:
    """Return all known variables, by their words."""
    names = [ENVIRONMENT, *ADDRESSES.values(), *HOST_SECRETS]
    names += [variable_name(PREFIX, place) for place in setting_paths(HostSettings)]
    for prefix in map(tutor_prefix, tutors):
        names += [variable_name(prefix, place) for place in setting_paths(TutorSettings)]
    return {_words(name): name for name in reversed(names)}


def _words(variable: str) -> str:
    """Return a variable's words in a form that ignores case, prefix and extra underscores."""
    return "_".join(filter(None, variable.upper().removeprefix(PREFIX).split("_")))


def tutor_problems(
    tutors: Sequence[TutorSettings], installed: Sequence[str], where: Callable[[str, str], str]
) -> Iterator[Problem]:
    """Find what prevents the enabled tutors from running, alone or together.

    Args:
        tutors: All tutors of config/tutors.
        installed: The entry-point name of each installed plugin.
        where: Returns the file and key of a tutor's setting.
    """
    enabled = [tutor for tutor in tutors if tutor.enabled]
    for tutor in enabled:
        yield from _dispatch_problems(tutor, where)
        yield from _resource_problems(tutor, where)
        if tutor.plugin and tutor.agent:
            hint = "write plugin or agent, not both"
            yield Problem(where(tutor.name, "plugin"), "is set beside agent", hint)
        yield from plugin_problems(tutor, installed, where)
    automatic = [tutor.name for tutor in enabled if tutor.worker_type == "automatic"]
    if len(automatic) > 1:
        yield Problem(
            where(automatic[1], "worker_type"),
            f"two tutors would join every room: {' and '.join(automatic)}",
            "write worker_type: explicit and an agent_name for all but one",
        )
    yield from _namesakes(enabled, where)


def plugin_problems(
    tutor: TutorSettings, installed: Sequence[str], where: Callable[[str, str], str]
) -> Iterator[Problem]:
    """Check that exactly one installed package provides the tutor's plugin."""
    offered = installed.count(tutor.plugin or "")
    spot = where(tutor.name, "plugin")
    if tutor.agent is None and offered == 0:
        near = get_close_matches(tutor.plugin or "", installed, 1) or sorted(installed)
        other = f", or write one that is installed: {', '.join(near)}" if near else ""
        hint = f"install its package{other}, or write enabled: false"
        yield Problem(spot, f"the plugin {tutor.plugin!r} is not installed", hint)
    if tutor.agent is None and offered > 1:
        what = f"{offered} installed packages provide a plugin {tutor.plugin!r}"
        yield Problem(spot, what, "uninstall all but one of them")


def grant_problems(names: Iterable[str], where: str) -> Iterator[Problem]:
    """Find secrets of the host among those granted to tutors and engines."""
    for name in sorted(HOST_SECRETS.intersection(names)):
        yield Problem(
            where, f"{name} is a secret of the host", "name one of the tutor's own secrets"
        )


def address_problems(
    texts: Iterable[tuple[KeyPath, str]], where: Callable[[KeyPath], str]
) -> Iterator[Problem]:
    """Find addresses beyond loopback that are not encrypted."""
    for place, text in texts:
        if _is_open(text):
            yield Problem(
                where(place),
                "is not encrypted",
                "write https:// or wss://, or a loopback address",
            )


def _dispatch_problems(tutor: TutorSettings, where: Callable[[str, str], str]) -> Iterator[Problem]:
    spot = where(tutor.name, "agent_name")
    if tutor.worker_type == "automatic" and tutor.agent_name:
        hint = "write agent_name: null, or worker_type: explicit"
        yield Problem(spot, "an automatic tutor has no agent name", hint)
    if tutor.worker_type == "explicit" and not tutor.agent_name:
        hint = f"write agent_name, such as {tutor.name}-specialist, or worker_type: automatic"
        yield Problem(spot, "an explicit tutor needs an agent name", hint)


def _resource_problems(tutor: TutorSettings, where: Callable[[str, str], str]) -> Iterator[Problem]:
    """Find a tutor that admits more lessons than its class of hosts is for."""
    if tutor.resources is None:
        return
    # Fewer are no mistake: the guide's own example of a conversation tutor has 5.
    least, most = RESOURCES[tutor.resources].lessons
    if tutor.max_concurrent_jobs > most:
        what = f"{tutor.max_concurrent_jobs} lessons do not fit resources: {tutor.resources}, "
        hint = f"write {most} or less, or other resources"
        spot = where(tutor.name, "max_concurrent_jobs")
        yield Problem(spot, f"{what}which is for {least} to {most}", hint)


def _namesakes(
    tutors: Sequence[TutorSettings], where: Callable[[str, str], str]
) -> Iterator[Problem]:
    holders = defaultdict(list)
    for tutor in tutors:
        holders[tutor.agent_name].append(tutor.name)
    for agent_name, names in holders.items():
        if agent_name and len(names) > 1:
            what = f"{' and '.join(names)} have the same agent_name {agent_name!r}"
            hint = "give each its own agent_name, or disable one"
            yield Problem(where(names[1], "agent_name"), what, hint)


def _is_open(text: str) -> bool:
    """Return whether a text is an unencrypted address beyond loopback."""
    try:
        parts = urlsplit(text.strip())
        return (
            parts.scheme in _PLAIN and bool(parts.netloc) and not is_loopback(parts.hostname or "")
        )
    except ValueError:
        return text.strip().lower().startswith(tuple(f"{scheme}:" for scheme in _PLAIN))
