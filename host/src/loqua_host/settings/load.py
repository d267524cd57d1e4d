"""Loading of `HostSettings` from config/ and the environment, with all problems at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from pydantic import ValidationError

from loqua_host.contract.hookspecs import PROJECT
from loqua_host.errors import ConfigError, Problem

from .certificates import ops_problems
from .checks import (
    address_problems,
    collector_problems,
    environ_problems,
    grant_problems,
    tutor_problems,
    variable_problems,
)
from .host import Environment, HostSettings
from .layered import LayeredSettings
from .network import network_advice
from .problems import model_problems, unwritable_keys
from .secrets import misplaced_secret
from .sources import ConfigSources, FileSource, Sources, read_sources
from .tutors import TutorSettings, engine_secret_locations
from .variables import choose_environment

__all__ = ["Draft", "draft", "installed_plugins", "load_settings"]


@dataclass(frozen=True, slots=True)
class Draft:
    """The valid parts of a configuration, and all problems.

    Attributes:
        settings: The settings, or None if config/host.yaml or its environment file is invalid.
        tutors: The tutors whose files are valid.
        problems: What prevents the start. If empty, the settings can be used.
        advice: Warnings: what production would refuse, or may not have the intended effect.
    """

    settings: HostSettings | None
    tutors: tuple[TutorSettings, ...]
    problems: tuple[Problem, ...]
    advice: tuple[Problem, ...] = ()


def load_settings(config: Path, environ: Mapping[str, str]) -> HostSettings:
    """Read the settings of the host from config/ and the environment, without secrets.

    Raises:
        ConfigError: With all problems, each with its place and hint.
    """
    drafted = draft(config, environ)
    if drafted.settings is None or drafted.problems:
        raise ConfigError(list(drafted.problems))
    return drafted.settings


def draft(config: Path, environ: Mapping[str, str]) -> Draft:
    """Read the valid parts of the settings, and find all problems."""
    environment = choose_environment(environ)
    sources = read_sources(config, environ)
    tutors, mismatches = _read_tutors(sources)
    settings, mistakes = _read_host(sources, environment, tutors)
    problems = [*environ_problems(config, environ), *variable_problems(sources), *sources.broken]
    problems += [*mistakes, *sources.broken_tutors, *mismatches]
    problems += _dispatch_problems(sources, tutors)
    if not (sources.broken_tutors or mismatches or any(tutor.enabled for tutor in tutors)):
        hint = "write one with enabled: true"
        problems.append(Problem(str(config / "tutors"), "has no enabled tutor", hint))
    advice = [*network_advice(environ)]
    if environment is Environment.PRODUCTION:
        problems += _open_addresses(sources)
    elif environment is Environment.STAGING:
        advice += _open_addresses(sources)
        advice += collector_problems(environ)
    if settings:
        problems += _host_problems(sources, settings)
    return Draft(settings, tutors, tuple(problems), tuple(advice))


def installed_plugins() -> list[str]:
    """List the entry-point name of each installed plugin, without importing any."""
    return [point.name for point in entry_points(group=PROJECT)]


def _read_host(
    sources: ConfigSources, environment: Environment, tutors: tuple[TutorSettings, ...]
) -> tuple[HostSettings | None, list[Problem]]:
    """Read the host's own settings. If one file is broken, still check the others."""
    host, problems = sources.host, _unwritable(sources.host, HostSettings)
    try:
        settings = HostSettings.read(host.all, environment=environment, tutors=tutors)
    except ValidationError as error:
        counts = host.has_value if sources.broken else lambda _: True
        problems += model_problems(
            error, HostSettings, host.where, counts=counts, unknown=misplaced_secret
        )
        return None, problems
    return None if sources.broken or problems else settings, problems


def _read_tutors(sources: ConfigSources) -> tuple[tuple[TutorSettings, ...], list[Problem]]:
    tutors, problems = [], []
    for name, own in sources.tutors.items():
        mistakes = _unwritable(own, TutorSettings)
        try:
            tutors += [TutorSettings.read(own.all, name=name)] if not mistakes else []
        except ValidationError as error:
            mistakes += model_problems(error, TutorSettings, own.where, unknown=misplaced_secret)
        problems += mistakes
    return tuple(tutors), problems


def _unwritable(sources: Sources, model: type[LayeredSettings]) -> list[Problem]:
    files = (source for source in sources.all if isinstance(source, FileSource))
    return [it for file in files for it in unwritable_keys(file.data, model, file.where)]


def _host_problems(sources: ConfigSources, settings: HostSettings) -> Iterator[Problem]:
    for keys, name in engine_secret_locations(settings.engines):
        yield from grant_problems([name], sources.host.where(keys))
    yield from ops_problems(settings.ops, settings.environment, sources.host.where)
    if settings.lessons.timeline and settings.environment is not Environment.DEVELOPMENT:
        where = sources.host.where(("lessons", "timeline"))
        yield Problem(where, "would show what learners say", "write false outside development")


def _dispatch_problems(
    sources: ConfigSources, tutors: Sequence[TutorSettings]
) -> Iterator[Problem]:
    yield from tutor_problems(tutors, installed_plugins(), sources.where_tutor)
    for tutor in tutors:
        for keys, name in tutor.secret_locations:
            yield from grant_problems([name], sources.where_tutor(tutor.name, *keys))


def _open_addresses(sources: ConfigSources) -> Iterator[Problem]:
    for one in (sources.host, *sources.tutors.values()):
        texts = ((place, value) for place, value, _ in one.values() if isinstance(value, str))
        yield from address_problems(texts, one.where)
