"""From config/ and the environment to `HostSettings`, or to all that is wrong with them."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from pydantic import JsonValue, ValidationError

from loqua_host.contract.hookspecs import PROJECT
from loqua_host.contract.tutor import NAME
from loqua_host.errors import ConfigError, Problem

from .certificates import ops_problems
from .checks import (
    address_problems,
    collector_problems,
    environ_problems,
    grant_problems,
    tutor_problems,
)
from .host import Environment, HostFile, HostSettings
from .network import network_advice
from .problems import Place, model_problems, printable, spelled
from .sources import Sources, choose_environment, read_sources, tutor_key
from .tutors import TutorFile, TutorSettings, engine_secret_places
from .yaml import read_yaml

__all__ = ["Draft", "draft", "installed_plugins", "load"]

_TUTOR_FILE = re.compile(rf"{NAME}\.yaml")

Written = dict[str, JsonValue]
"""What a file says, before it is checked."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read of a configuration, and everything wrong with it.

    Attributes:
        settings: The settings, where config/host.yaml and its overlay are sound, else None.
        tutors: The tutors whose files are sound.
        problems: What refuses the start; when empty, the settings can be used.
        advice: What does not, and would in production, or may not do what was meant.
    """

    settings: HostSettings | None
    tutors: tuple[TutorSettings, ...]
    problems: tuple[Problem, ...]
    advice: tuple[Problem, ...] = ()


def load(config: Path, environ: Mapping[str, str]) -> HostSettings:
    """Read the settings of the host from config/ and the environment; no secret is read.

    Raises:
        ConfigError: With every problem there is, each with its place and mend.
    """
    drafted = draft(config, environ)
    if drafted.settings is None or drafted.problems:
        raise ConfigError(list(drafted.problems))
    return drafted.settings


def draft(config: Path, environ: Mapping[str, str]) -> Draft:
    """Read as much of the settings as can be read, and find all that is wrong with them."""
    sources = read_sources(config, environ)
    host, mistakes = _validate_host(sources)
    written, unreadable = _read_tutors(config)
    tutors, misfits = _validate_tutors(config, written)
    problems = [*environ_problems(config, environ), *sources.problems, *mistakes]
    problems += [*unreadable, *misfits, *_dispatch_problems(config, tutors)]
    if not (unreadable or misfits or any(tutor.enabled for tutor in tutors)):
        mend = "write one with enabled: true"
        problems.append(Problem(str(config / "tutors"), "has no enabled tutor", mend))
    environment = choose_environment(environ)
    advice = [*network_advice(environ)]
    if environment is Environment.PRODUCTION:
        problems += _open_addresses(config, sources, written)
    elif environment is Environment.STAGING:
        advice += _open_addresses(config, sources, written)
        advice += collector_problems(environ)
    if host is None:
        return Draft(None, tutors, tuple(problems), tuple(advice))
    for keys, name in engine_secret_places(host.engines):
        problems += grant_problems([name], sources.where(keys))
    problems += ops_problems(host.ops, environment, sources.where)
    settings = HostSettings(environment=environment, tutors=tutors, **dict(host))
    return Draft(settings, tutors, tuple(problems), tuple(advice))


def installed_plugins() -> list[str]:
    """List the entry-point name of each installed plugin, importing none."""
    return [point.name for point in entry_points(group=PROJECT)]


def _validate_host(sources: Sources) -> tuple[HostFile | None, list[Problem]]:
    if sources.problems:
        return None, []
    try:
        return HostFile.model_validate(sources.merged()), []
    except ValidationError as error:
        return None, model_problems(error, HostFile, sources.where)


def _read_tutors(config: Path) -> tuple[dict[str, Written], list[Problem]]:
    written: dict[str, Written] = {}
    problems = []
    for file in sorted((config / "tutors").glob("*.y*ml")):
        data, faults = read_yaml(file)
        if not _TUTOR_FILE.fullmatch(file.name):
            mend = "rename it to lower-case words joined by hyphens, such as my-tutor.yaml"
            faults = [Problem(printable(str(file)), "is no file of a tutor", mend)]
        problems += faults
        if not faults:
            written[file.stem] = data
    return written, problems


def _validate_tutors(
    config: Path, written: Mapping[str, Written]
) -> tuple[tuple[TutorSettings, ...], list[Problem]]:
    tutors = []
    problems = []
    for name, data in written.items():
        try:
            given = dict(TutorFile.model_validate(data))
            if not given["agent"]:
                given["plugin"] = given["plugin"] or name
            tutors.append(TutorSettings(name=name, **given))
        except ValidationError as error:
            problems += model_problems(error, TutorFile, _where_in(config, name))
    return tuple(tutors), problems


def _dispatch_problems(config: Path, tutors: Sequence[TutorSettings]) -> Iterator[Problem]:
    yield from tutor_problems(tutors, installed_plugins(), partial(tutor_key, config))
    for tutor in tutors:
        for keys, name in tutor.secret_places:
            yield from grant_problems([name], tutor_key(config, tutor.name, spelled(keys)))


def _open_addresses(
    config: Path, sources: Sources, written: Mapping[str, Written]
) -> Iterator[Problem]:
    yield from address_problems(sources.merged(), sources.where)
    for name, data in written.items():
        yield from address_problems(data, _where_in(config, name))


def _where_in(config: Path, tutor: str) -> Callable[[Place], str]:
    return lambda place: tutor_key(config, tutor, spelled(place))
