"""`loqua-host check`: what would run, and every mistake at once."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import typer

from loqua_host.contract.engines import Engines
from loqua_host.errors import ConfigError, Problem
from loqua_host.registry.inspection import Inspection, inspect_tutors
from loqua_host.settings.certificates import expired
from loqua_host.settings.load import Draft, draft
from loqua_host.settings.secrets import Wanted, read_secrets
from loqua_host.settings.sources import read_sources
from loqua_host.settings.tutors import TutorSettings
from loqua_host.settings.withheld import withheld_files

from .explain import explain

__all__ = ["check", "table"]

_HEADINGS = ("tutor", "plugin", "version", "dispatch", "agent name", "max jobs", "agent id")


def check(config: Path, environ: Mapping[str, str], *, explained: bool = False) -> int:
    """Print what the configuration would run and each of its mistakes; give the exit status.

    Explained, each setting is printed with where it came from. The status is 0 when
    `loqua-host run` would start and be believed, else 1.
    """
    drafted = draft(config, environ)
    enabled = [tutor for tutor in drafted.tutors if tutor.enabled]
    engines = drafted.settings.engines if drafted.settings else Engines()
    withheld = withheld_files(drafted.settings, environ) if drafted.settings else ()
    inspections = asyncio.run(inspect_tutors(config, environ, enabled, engines, withheld=withheld))
    typer.echo("\n".join(table(_rows(drafted, enabled, inspections))))
    if explained and drafted.settings:
        lines = explain(config, environ, drafted.settings)
        typer.echo("\n" + "\n".join(table(lines)))
    problems = list(_all_problems(config, environ, drafted, inspections))
    for problem in problems:
        typer.echo(f"\n{problem.where}\n  {problem.what}\n  → {problem.mend}", err=True)
    return 1 if problems else 0


def _all_problems(
    config: Path, environ: Mapping[str, str], drafted: Draft, inspections: Sequence[Inspection]
) -> dict[Problem, None]:
    problems = dict.fromkeys(drafted.problems)
    try:
        read_secrets(config, environ, Wanted.by(drafted.settings))
    except ConfigError as error:
        problems |= dict.fromkeys(error.problems)
    if drafted.settings:
        where = read_sources(config, environ).where
        problems |= dict.fromkeys(expired(drafted.settings.ops, where))
    for inspection in inspections:
        problems |= dict.fromkeys(inspection.problems)
    return problems


def _rows(
    drafted: Draft, tutors: Sequence[TutorSettings], inspections: Sequence[Inspection]
) -> Iterator[tuple[str, ...]]:
    yield _HEADINGS
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


def table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Give the lines of a table with aligned columns."""
    lines = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(cells).rstrip()
