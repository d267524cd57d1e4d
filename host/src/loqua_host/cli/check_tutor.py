"""`loqua-host check --tutor NAME`: what is wrong with one tutor, for its author."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import typer

from loqua_host.errors import Problem
from loqua_host.registry.inspection import inspect_tutors
from loqua_host.settings.engines import Engines
from loqua_host.settings.load import draft
from loqua_host.settings.tutors import TutorSettings
from loqua_host.testing.rehearsal import find_problems_in_lesson

from .problems import print_problems

__all__ = ["check_tutor"]


def check_tutor(name: str, config: Path, environ: Mapping[str, str]) -> int:
    """Print what is wrong with one tutor: its plugin, its settings, and its hooks in a lesson.

    Args:
        name: Its name in config/tutors, its plugin's entry point, or an agent as `module:Class`.
        config: The configuration directory, which need not exist.
        environ: The environment variables.

    Returns:
        The exit status: 0 if there is nothing, else 1.
    """
    tutor = _find(name, config, environ)
    problems = _inspect(tutor, config, environ)
    if not problems:
        problems = find_problems_in_lesson(tutor, environ)
    print_problems(problems)
    if not problems:
        typer.echo(f"{name}: nothing found; a lesson with it was taught to its record")
    return 1 if problems else 0


def _find(name: str, config: Path, environ: Mapping[str, str]) -> TutorSettings:
    """Return the configured tutor, or one without settings if it is not configured."""
    drafted = draft(config, environ).tutors if config.is_dir() else ()
    for tutor in drafted:
        if name in (tutor.name, tutor.source):
            return tutor
    source = {"agent": name} if ":" in name else {"plugin": name}
    return TutorSettings.model_validate({"name": name, "worker_type": "automatic"} | source)


def _inspect(tutor: TutorSettings, config: Path, environ: Mapping[str, str]) -> list[Problem]:
    [inspection] = asyncio.run(inspect_tutors(config, environ, [tutor], Engines()))
    unset = [
        Problem("environment", f"{name} is not set", f"set the tutor's secret: export {name}=…")
        for name in (inspection.tutor.secrets if inspection.tutor else ())
        if not environ.get(name)
    ]
    return [*inspection.problems, *unset]
