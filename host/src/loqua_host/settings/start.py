"""Checks of the start that go beyond valid settings."""

import os
from collections.abc import Iterator
from pathlib import Path

from loqua_host.errors import ConfigError, Problem
from loqua_host.system.sandbox import sandbox_gaps

from .host import Environment, HostSettings
from .sources import tutor_key

__all__ = ["refuse_start", "start_problems"]


def refuse_start(config: Path, settings: HostSettings) -> None:
    """Raise if a host must not start.

    Raises:
        ConfigError: With all problems.
    """
    if problems := list(start_problems(config, settings)):
        raise ConfigError(problems)


def start_problems(config: Path, settings: HostSettings) -> Iterator[Problem]:
    """Find what prevents the start.

    In development almost all is allowed: agents may bring their engines, and there may be no
    environment file.
    """
    if settings.sandbox.required and (gaps := sandbox_gaps()):
        what = f"this machine does not restrict jobs in {', '.join(gaps)}"
        hint = "use a newer kernel, or write false and run only tutors that you trust"
        yield Problem(f"{config / 'host.yaml'}: sandbox.required", what, hint)
    environment = settings.environment
    if environment is Environment.DEVELOPMENT:
        return
    if environment is Environment.PRODUCTION and os.geteuid() == 0:
        # Its jobs would also run as root, from which no file can be protected.
        hint = "run it as its own user, like the Dockerfile"
        yield Problem("loqua-host run", "would run as root", hint)
    overlay = config / "environments" / f"{environment}.yaml"
    if not overlay.exists():
        hint = "create it, with what differs from host.yaml, such as engines; it may be empty"
        yield Problem(str(overlay), "does not exist", hint)
    yield from _engine_problems(config, overlay, settings)


def _engine_problems(config: Path, overlay: Path, settings: HostSettings) -> Iterator[Problem]:
    """Find tutors without speech engines; `null` states that an agent brings its own."""
    for tutor in settings.enabled_tutors:
        for role, lacks in (("stt", "it could not hear"), ("tts", "it could not speak")):
            if role not in tutor.engines.model_fields_set | settings.engines.model_fields_set:
                yield Problem(
                    tutor_key(config, tutor.name, f"engines.{role}"),
                    f"names no engine, and neither does {overlay.name}: {lacks}",
                    f"write engines.{role} in {overlay}, or {role}: null here if its agent "
                    "brings its own",
                )
