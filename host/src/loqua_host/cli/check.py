"""`loqua-host check`: the tutors that would run, and all mistakes at once."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import typer

from loqua_host.configuration.configuration import machine_problems
from loqua_host.diagnosis.ports import port_problems
from loqua_host.errors import ConfigError, Problem
from loqua_host.registry.inspection import Inspection, inspect_tutors
from loqua_host.settings.certificates import expired
from loqua_host.settings.engines import Engines
from loqua_host.settings.load import Draft, draft
from loqua_host.settings.protected_paths import protected_files
from loqua_host.settings.secrets import WantedSecrets, read_secrets
from loqua_host.settings.sources import read_sources
from loqua_host.settings.start import start_problems
from loqua_host.settings.tutors import TutorSettings

from .explain import HEADINGS, explain_config
from .problems import print_problems
from .tables import print_table

__all__ = ["check_config"]

_HEADINGS = ("tutor", "plugin", "version", "dispatch", "agent name", "max jobs", "agent id")


def check_config(config: Path, environ: Mapping[str, str], *, explained: bool = False) -> int:
    """Print what the configuration would run and each of its mistakes.

    Args:
        config: The configuration directory.
        environ: The environment variables.
        explained: Whether to print each setting and its source.

    Returns:
        The exit status: 0 if `loqua-host run` would start, else 1.
    """
    drafted = draft(config, environ)
    enabled = [tutor for tutor in drafted.tutors if tutor.enabled]
    engines = drafted.settings.engines if drafted.settings else Engines()
    protected = protected_files(drafted.settings, environ) if drafted.settings else ()
    inspections = asyncio.run(
        inspect_tutors(config, environ, enabled, engines, protected=protected)
    )
    print_table(_HEADINGS, _rows(drafted, enabled, inspections))
    if explained and drafted.settings:
        lines = explain_config(config, environ, drafted.settings)
        typer.echo()
        print_table(HEADINGS, lines)
    problems, advice = _find_all(config, environ, drafted)
    for inspection in inspections:
        problems |= dict.fromkeys(inspection.problems)
    print_problems(advice, "warning: ")
    print_problems(problems)
    return 1 if problems else 0


def _find_all(
    config: Path, environ: Mapping[str, str], drafted: Draft
) -> tuple[dict[Problem, None], dict[Problem, None]]:
    """Return the problems that prevent the start, and those that do not."""
    problems, advice = dict.fromkeys(drafted.problems), dict.fromkeys(drafted.advice)
    if drafted.settings:
        where = read_sources(config, environ).host.where
        problems |= dict.fromkeys(expired(drafted.settings.ops, where))
        problems |= dict.fromkeys(start_problems(config, drafted.settings))
        problems |= dict.fromkeys(asyncio.run(port_problems(drafted.settings.ops, where)))
    try:
        secrets = read_secrets(config, environ, WantedSecrets.by(drafted.settings))
    except ConfigError as error:
        return problems | dict.fromkeys(error.problems), advice
    if drafted.settings:
        found = machine_problems(config, environ, drafted.settings, secrets)
        problems |= dict.fromkeys(found)
    return problems, advice | dict.fromkeys(secrets.advice)


def _rows(
    drafted: Draft, tutors: Sequence[TutorSettings], inspections: Sequence[Inspection]
) -> Iterator[tuple[str, ...]]:
    for tutor, inspection in zip(tutors, inspections, strict=True):
        host_id = drafted.settings.agent_id if drafted.settings else None
        yield (
            tutor.name,
            tutor.source,
            inspection.version or "-",
            tutor.worker_type,
            tutor.agent_name or "-",
            str(tutor.max_concurrent_jobs),
            tutor.agent_id or host_id or "-",
        )
