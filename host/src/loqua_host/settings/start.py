"""What keeps a host from starting although each setting is right."""

import os
from collections.abc import Iterator
from pathlib import Path

from loqua_host.errors import ConfigError, Problem

from .host import Environment, HostSettings
from .sources import tutor_key

__all__ = ["refuse_start", "start_problems"]


def refuse_start(config: Path, settings: HostSettings) -> None:
    """Refuse to start a host that would only disappoint.

    Raises:
        ConfigError: With everything that is missing.
    """
    if problems := list(start_problems(config, settings)):
        raise ConfigError(problems)


def start_problems(config: Path, settings: HostSettings) -> Iterator[Problem]:
    """Find what a host that serves learners must not start as, or without.

    In development all of it is allowed: the engines may be those of an agent, and there need be
    no file of the environment.
    """
    environment = settings.environment
    if environment is Environment.DEVELOPMENT:
        return
    if environment is Environment.PRODUCTION and os.geteuid() == 0:
        # Jobs of root would be root's too, and nothing is hidden from root.
        hint = "run it as a user of its own, as the Dockerfile does"
        yield Problem("loqua-host run", "would run as root", hint)
    overlay = config / "environments" / f"{environment}.yaml"
    if not overlay.exists():
        hint = "write it, with what differs from host.yaml: engines, logs; it may be empty"
        yield Problem(str(overlay), "is not there", hint)
    yield from _engine_problems(config, overlay, settings)


def _engine_problems(config: Path, overlay: Path, settings: HostSettings) -> Iterator[Problem]:
    """Find tutors that would be deaf or mute; `null` says that an agent brings its own engine."""
    for tutor in settings.enabled_tutors:
        for role, lacks in (("stt", "it would hear nothing"), ("tts", "it would say nothing")):
            if role not in tutor.engines.model_fields_set | settings.engines.model_fields_set:
                yield Problem(
                    tutor_key(config, tutor.name, f"engines.{role}"),
                    f"names no engine, and neither does {overlay.name}: {lacks}",
                    f"write engines.{role} in {overlay}, or {role}: null here if its agent "
                    "has an engine of its own",
                )
