"""`loqua-host replay`: a captured lesson, repeated with the current tutor."""

from collections.abc import Mapping
from pathlib import Path

import typer
import yaml

from loqua_host.errors import LedgerError, LoquaError
from loqua_host.records.captures import CapturedJob, Captures
from loqua_host.records.encryption import KeyRing
from loqua_host.settings.load import load_settings
from loqua_host.settings.secrets import read_ledger_secrets
from loqua_host.settings.tutors import TutorSettings
from loqua_host.testing import LessonFailedError, LessonScript, play_lesson
from loqua_host.testing.replay import replayed

__all__ = ["replay_lesson"]


def replay_lesson(
    session_id: str, config: Path, environ: Mapping[str, str], output: Path | None
) -> int:
    """Play a captured lesson again, and write it as a script of the kit if it goes another way.

    Args:
        session_id: The lesson's session id, as in the log.
        config: The configuration directory.
        environ: The environment variables.
        output: Where to write it, whatever comes of it; `replayed.lesson.yaml` if None.

    Returns:
        The exit status: 0 if the tutor answers as before, else 1.

    Raises:
        ConfigError: If the configuration cannot be read.
        LedgerError: If the lesson was not captured, or cannot be decrypted.
        LoquaError: If its tutor no longer exists.
    """
    settings = load_settings(config, environ)
    if settings.ledger.captures is None:
        raise LedgerError("no lessons are captured here: see ledger.captures in host.yaml")
    keys = read_ledger_secrets(config, environ, settings.secrets).open_keys()
    parts = Captures(settings.ledger.captures, KeyRing(keys)).read(session_id)
    if not parts:
        hint = "its learner did not allow it, or its capture was deleted after keep_delivered_days"
        raise LedgerError(f"{session_id}: not captured; {hint}")
    written = replayed(parts, _tutor(parts, settings.tutors))
    differs = _play(LessonScript.model_validate(written))
    if differs or output is not None:
        file = output or Path("replayed.lesson.yaml")
        file.write_text(yaml.safe_dump(written, allow_unicode=True, sort_keys=False), "utf-8")
        typer.echo(f"wrote {file}, a test: put it beside the tutor's tests, and run pytest")
    return 1 if differs else 0


def _tutor(parts: list[CapturedJob], tutors: tuple[TutorSettings, ...]) -> TutorSettings:
    found = next((one for one in tutors if one.name == parts[0].tutor), None)
    if found is None:
        raise LoquaError(f"the lesson's tutor has no file config/tutors/{parts[0].tutor}.yaml")
    return found


def _play(script: LessonScript) -> bool:
    """Return whether the lesson goes another way, after printing how."""
    try:
        play_lesson(script)
    except LessonFailedError as error:
        typer.echo(str(error))
        return True
    typer.echo("the tutor answers as before")
    return False
