"""The tutors that config/ enables, and their changes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loqua_host.lessons.tutors import RunningTutor
from loqua_host.settings.host import HostSettings
from loqua_host.settings.jobs import JobSettings
from loqua_host.settings.protected_paths import ledger_files
from loqua_host.settings.sandbox import needed_ports
from loqua_host.settings.secrets import HostSecrets
from loqua_host.settings.tutors import TutorSettings, engine_secrets
from loqua_host.system.proxies import proxy_variables
from loqua_host.system.sandbox import Sandbox
from loqua_host.system.sockets import SocketHandle

__all__ = ["Changes", "compare", "running_tutors"]


@dataclass(frozen=True, slots=True)
class Changes:
    """The names of the tutors that were added, removed, or need another worker."""

    enabled: tuple[str, ...]
    disabled: tuple[str, ...]
    changed: tuple[str, ...]


def running_tutors(
    settings: HostSettings,
    secrets: HostSecrets,
    versions: Mapping[str, str | None],
    *,
    link: SocketHandle,
    temporary: Path,
    traced: bool,
) -> dict[str, RunningTutor]:
    """Return the enabled tutors, by name.

    Args:
        settings: The settings of the host.
        secrets: The secrets to grant.
        versions: The versions of the tutors' plugins.
        link: The host's end of the link.
        temporary: Where jobs make their temporary directories.
        traced: Whether lessons are traced.
    """
    return {
        tutor.name: RunningTutor(
            _job_settings(tutor, settings, link, temporary, traced=traced),
            secrets.grant(tutor.secret_names | engine_secrets(settings.engines_for(tutor))),
            versions[tutor.name],
        )
        for tutor in settings.enabled_tutors
    }


def compare(old: Mapping[str, RunningTutor], new: Mapping[str, RunningTutor]) -> Changes:
    """Return the changes between two sets of tutors."""
    return Changes(
        enabled=tuple(sorted(new.keys() - old.keys())),
        disabled=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(name for name in old.keys() & new.keys() if old[name] != new[name])),
    )


def _job_settings(
    tutor: TutorSettings,
    settings: HostSettings,
    link: SocketHandle,
    temporary: Path,
    *,
    traced: bool,
) -> JobSettings:
    lesson = settings.lessons.in_jobs
    if tutor.limits.max_duration is not None:
        lesson = lesson.model_copy(
            update={"max_duration": min(lesson.max_duration, tutor.limits.max_duration)}
        )
    return JobSettings(
        tutor=tutor,
        agent_id=settings.agent_id_for(tutor),
        engines=settings.engines_for(tutor),
        sandbox=_sandbox(tutor, settings, temporary),
        lesson=lesson,
        messages=settings.messages,
        link=link,
        traced=traced,
    )


def _sandbox(tutor: TutorSettings, settings: HostSettings, temporary: Path) -> Sandbox:
    addresses = [settings.livekit.url, *proxy_variables(os.environ).values()]
    needed = needed_ports(tutor.settings, settings.engines_for(tutor), addresses)
    granted = tutor.sandbox.ports
    return Sandbox(
        memory=tutor.limits.memory,
        ports=None if granted is None else tuple(sorted({*granted, *needed})),
        processes=tutor.sandbox.processes,
        writable=tutor.sandbox.writable,
        hidden=tuple(ledger_files(settings)),
        temporary=temporary,
    )
