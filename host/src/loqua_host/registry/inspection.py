"""Inspection of plugins in child processes.

A plugin's code never runs in the host process. For each tutor, a short-lived child process without
secrets imports the plugin, so that a hang or crash does not affect the host.
"""

import asyncio
import contextlib
import dataclasses
import signal
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from loqua_host.contract.hookspecs import PROJECT
from loqua_host.contract.tutor import Name, SecretName
from loqua_host.errors import ConfigError, Problem
from loqua_host.settings.checks import plugin_problems
from loqua_host.settings.engines import Engine, Engines
from loqua_host.settings.load import installed_plugins
from loqua_host.settings.problems import printable, spelled
from loqua_host.settings.sources import ConfigSources, VariablesSource, read_sources, tutor_file
from loqua_host.settings.tutors import TutorSettings, engine_locations
from loqua_host.system.environment import safe_environ
from loqua_host.system.forked import fork
from loqua_host.system.process import start_forkserver

__all__ = [
    "HINT",
    "Inspection",
    "InspectionAnswer",
    "InspectionQuestion",
    "TutorDeclaration",
    "inspect_tutors",
    "version_of",
]

TIME_LIMIT: Final = 40.0
"""Seconds for a child to import its plugin: with LiveKit, that took 16 s on a machine of two cores
with eight others' work on it."""

AT_A_TIME: Final = 2
"""Maximum of concurrent children, because importing needs CPU time."""

HINT: Final = "fix the plugin, or write enabled: false"

EXAMINE: Final = "loqua_host.registry.inspect_child:examine"

_MAX_ANSWER: Final = 1_000_000
_FROZEN: Final = ConfigDict(frozen=True, extra="forbid")


class TutorDeclaration(BaseModel):
    """The part of a plugin's declaration that the host needs."""

    model_config = _FROZEN

    name: Name
    agent_name: Name | None
    secrets: tuple[SecretName, ...]
    video: bool


class InspectionQuestion(BaseModel):
    """The tutor to inspect, and the sources of its settings.

    Attributes:
        file: The tutor's file.
        engines: Its engines, by their file and key, or variable.
        variables: The variables that give some of its own settings, by their place.
    """

    model_config = _FROZEN

    file: str
    tutor: TutorSettings
    engines: dict[str, Engine]
    variables: dict[str, str]


class InspectionAnswer(BaseModel):
    """The findings of a child."""

    model_config = _FROZEN

    tutor: TutorDeclaration | None
    problems: tuple[Problem, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Inspection:
    """The result of a tutor's inspection.

    Attributes:
        name: The tutor's name in config/tutors.
        plugin: The entry-point name of its plugin, or `module:Class` of its agent.
        version: The version of the distribution its plugin came with, or None.
        tutor: The plugin's declaration, or None if it is unavailable.
        problems: What prevents the tutor from running.
    """

    name: str
    plugin: str
    version: str | None
    tutor: TutorDeclaration | None
    problems: tuple[Problem, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _Child:
    """The environment of each child, and the files that it may not read."""

    environ: dict[str, str]
    protected: tuple[Path, ...]


async def inspect_tutors(
    config: Path,
    environ: Mapping[str, str],
    tutors: Sequence[TutorSettings],
    engines: Engines,
    *,
    protected: Iterable[Path] = (),
    limit: float = TIME_LIMIT,
) -> tuple[Inspection, ...]:
    """Inspect each tutor in a child process of its own.

    Args:
        config: The configuration's directory, for the places that problems name.
        environ: The host's environment; children get the variables that jobs get.
        tutors: The tutors to inspect.
        engines: The engines of the host, for tutors that have none of their own.
        protected: Files that no child may read.
        limit: Seconds for each child.
    """
    gate = asyncio.Semaphore(AT_A_TIME)
    installed = installed_plugins()
    child = _Child(safe_environ(environ), tuple(protected))
    sources = read_sources(config, environ)

    async def look(tutor: TutorSettings) -> Inspection:
        missing = tuple(plugin_problems(tutor, installed, sources.where_tutor))
        if missing:
            return Inspection(tutor.name, tutor.source, None, None, missing)
        question = _question(sources, tutor, engines)
        async with gate:
            answer = await _ask(question, child, limit)
        return _judge(sources, tutor, answer)

    async with asyncio.TaskGroup() as tasks:
        looks = [tasks.create_task(look(tutor)) for tutor in tutors]
    return tuple(_without_namesakes(sources, [task.result() for task in looks]))


def version_of(tutor: TutorSettings) -> str | None:
    """Return the version of the distribution that contains a tutor's plugin, or None."""
    points = entry_points(group=PROJECT, name=tutor.plugin) if tutor.plugin else ()
    return next((point.dist.version for point in points if point.dist), None)


def _question(sources: ConfigSources, tutor: TutorSettings, shared: Engines) -> InspectionQuestion:
    used = {}
    for keys, engine in engine_locations(tutor.engines_over(shared)):
        own = keys[1] in tutor.engines.model_fields_set
        location = sources.where_tutor(tutor.name, *keys) if own else sources.host.where(keys)
        used[location] = engine
    return InspectionQuestion(
        file=str(tutor_file(sources.config, tutor.name)),
        tutor=tutor,
        engines=used,
        variables=_variables(sources, tutor.name),
    )


def _variables(sources: ConfigSources, tutor: str) -> dict[str, str]:
    own = sources.tutors.get(tutor)
    values = own.values() if own else ()
    return {
        spelled(place): source.where(place)
        for place, _, source in values
        if isinstance(source, VariablesSource)
    }


async def _ask(question: InspectionQuestion, child: _Child, limit: float) -> InspectionAnswer:
    """Inspect in a child process, which is gone with all it started on return."""
    try:
        with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as answered:
            asked.write(question.model_dump_json().encode())
            asked.seek(0)  # the child shares the file's position
            status = await _run_child(asked, answered, child, limit)
            answered.seek(0)
            return _read_answer(question, answered.read(_MAX_ANSWER), status, limit)
    except (ConfigError, OSError) as error:
        what = f"cannot be inspected: {getattr(error, 'strerror', None) or error}"
        problem = Problem(question.file, what, "free processes, memory or disk")
        return InspectionAnswer(tutor=None, problems=(problem,))


async def _run_child(
    asked: IO[bytes], answered: IO[bytes], child: _Child, limit: float
) -> int | None:
    start_forkserver([], child.protected)
    files = (asked.fileno(), answered.fileno())
    async with fork(EXAMINE, child.environ, child.protected, files=files) as process:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                return await process.ended()
        return None


def _read_answer(
    question: InspectionQuestion, answered: bytes, status: int | None, limit: float
) -> InspectionAnswer:
    if status is None:
        what = f"its import did not finish within {limit:g} s"
    else:
        try:
            return InspectionAnswer.model_validate_json(answered)
        except ValidationError:
            what = f"its import ended the process ({_ending(status)})"
    return InspectionAnswer(tutor=None, problems=(Problem(question.file, what, HINT),))


def _ending(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    return signal.strsignal(-status) or f"signal {-status}"


def _judge(sources: ConfigSources, tutor: TutorSettings, answer: InspectionAnswer) -> Inspection:
    problems = [
        Problem(printable(found.where), printable(found.what), printable(found.hint))
        for found in answer.problems
    ]
    if answer.tutor:
        problems += _ungranted(sources, tutor, answer.tutor)
    return Inspection(tutor.name, tutor.source, version_of(tutor), answer.tutor, tuple(problems))


def _ungranted(
    sources: ConfigSources, tutor: TutorSettings, declared: TutorDeclaration
) -> Iterator[Problem]:
    needed = ", ".join(dict.fromkeys((*tutor.secrets, *declared.secrets)))
    for secret in declared.secrets:
        if secret not in tutor.secrets:
            yield Problem(
                sources.where_tutor(tutor.name, "secrets"),
                f"the tutor needs {secret} and is not granted it",
                f"write secrets: [{needed}] and set the variable",
            )


def _without_namesakes(
    sources: ConfigSources, inspections: Sequence[Inspection]
) -> Iterator[Inspection]:
    """Refuse tutors of different plugins that declare one name; one plugin may run twice."""
    holders: dict[str, Inspection] = {}
    for inspection in inspections:
        if inspection.tutor is None:
            yield inspection
            continue
        name = inspection.tutor.name
        first = holders.setdefault(name, inspection)
        if first.plugin == inspection.plugin:
            yield inspection
            continue
        problem = Problem(
            sources.where_tutor(inspection.name, "plugin"),
            f"{first.name} and {inspection.name} both declare a tutor named {name!r}",
            "write enabled: false in one of the two",
        )
        yield dataclasses.replace(inspection, problems=(*inspection.problems, problem))
