"""`loqua-host console`: talk with a tutor in the terminal by typing."""

import asyncio
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO

import yaml
from pydantic import ValidationError
from structlog.testing import capture_logs

from loqua_host.errors import LoquaError
from loqua_host.link.messages import reasons_of
from loqua_host.registry.loader import LoadedTutor, import_string, load_plugin
from loqua_host.settings.lessons import LessonLimits
from loqua_host.testing import LessonScript
from loqua_host.testing.console import HELP, Console
from loqua_host.testing.player import LessonPlayer
from loqua_host.testing.tutor_source import TutorSource

__all__ = ["ConsoleError", "run_console"]


PATIENT: Final = LessonLimits(reconnect_timeout=0, silence_prompt_after=3600, silence_timeout=3600)
"""Limits for a learner who thinks and types; one who leaves does not return."""


class ConsoleError(LoquaError):
    """A lesson cannot begin in the terminal; the message says what to write."""


def run_console(tutor: str, language: str, settings: Path | None, model: str | None) -> None:
    """Teach a lesson in the terminal.

    Args:
        tutor: The tutor's plugin, or a LiveKit agent as `module:Class`.
        language: The language taught, as an ISO 639-1 code.
        settings: A YAML file with the tutor's settings.
        model: The class of a language model, as `module:Class`.

    Raises:
        ConsoleError: If settings or language model cannot be used.
        BrokenTutorError: If the plugin violates the contract.
    """
    named = {"agent": tutor} if ":" in tutor else {"tutor": tutor}
    written = _read_settings(settings)
    script = LessonScript(**named, language=language, settings=written, reconnect_timeout=0)
    loaded = load_plugin(plugin=script.tutor or None, agent=script.agent)
    _check(loaded, written)
    print(HELP)  # noqa: T201  # what the command is for
    asyncio.run(_talk(script, loaded, model))


async def _talk(script: LessonScript, loaded: LoadedTutor, model: str | None) -> None:
    lines = _lines(sys.stdin)
    with capture_logs() as log:
        player = LessonPlayer(script, loaded, _build(model), PATIENT)
        await Console(player, log, TutorSource(script, loaded), lines.get, print).run()


def _build(model: str | None) -> Any:
    if model is None:
        return None
    try:
        return import_string(model)()
    except Exception as error:
        raise ConsoleError(f"--llm {model}: {type(error).__name__}: {error}") from error


def _read_settings(path: Path | None) -> dict[str, Any]:
    try:
        written = yaml.safe_load(path.read_text("utf-8")) if path else {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConsoleError(f"--settings {path}: {error}") from None
    if not isinstance(written, dict):
        raise ConsoleError(
            f"--settings {path}: write a mapping, as below settings: in config/tutors"
        )
    return written


def _check(loaded: LoadedTutor, written: dict[str, Any]) -> None:
    try:
        loaded.read_settings(written)
    except ValidationError as error:
        raise ConsoleError(f"the settings do not fit the tutor: {reasons_of(error)}") from None


def _lines(source: TextIO) -> "asyncio.Queue[str | None]":
    """Return the lines of a source, as they come; then None."""
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str | None] = asyncio.Queue()

    def read() -> None:
        with suppress(RuntimeError):  # the lesson is over, and its loop closed
            for line in source:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, None)

    # A thread of the loop's own would have to be waited for, and it waits for the terminal.
    threading.Thread(target=read, daemon=True).start()
    return lines
