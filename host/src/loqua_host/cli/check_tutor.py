"""`loqua-host check --tutor NAME`: the mistakes of one tutor, for its author."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import typer

from loqua_host.errors import Problem
from loqua_host.registry.inspection import inspect_tutors
from loqua_host.settings.engines import Engines
from loqua_host.settings.load import draft
from loqua_host.settings.tutors import TutorSettings
from loqua_host.system.environment import safe_environ

from .problems import print_problems

__all__ = ["REHEARSAL_SECONDS", "check_tutor", "find_problems_in_lesson"]

REHEARSAL_SECONDS: Final = 60.0
"""Real seconds for a rehearsal; it takes one or two."""


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


def find_problems_in_lesson(
    tutor: TutorSettings, environ: Mapping[str, str], limit: float = REHEARSAL_SECONDS
) -> list[Problem]:
    """Teach a lesson in a process of its own, and return what is wrong with the tutor's code.

    Args:
        tutor: The tutor, of which plugin or agent, settings and language count.
        environ: The environment, of which the process gets what a job gets.
        limit: Real seconds for the process.
    """
    with TemporaryDirectory() as folder:
        answer = Path(folder, "answer")
        # Only that process imports LiveKit and the kit, which takes two seconds of processor time.
        command = (sys.executable, "-m", "loqua_host.testing.rehearsal", str(answer))
        try:
            status = subprocess.run(  # noqa: S603  # Python itself
                command,
                env=safe_environ(environ),
                input=tutor.model_dump_json(),
                timeout=limit,
                capture_output=True,
                text=True,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            what = f"a lesson with it did not end within {limit:g} s"
            return [Problem(tutor.source, what, "see where it hangs with loqua-host console")]
        if not answer.exists():
            what = f"a lesson with it ended the process (exit status {status})"
            return [Problem(tutor.source, what, "a tutor leaves its process to the host")]
        return [Problem(**one) for one in json.loads(answer.read_text("utf-8"))]
