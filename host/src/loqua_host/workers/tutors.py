"""The tutors that config/ has the host run, and what changes among them."""

from collections.abc import Mapping
from dataclasses import dataclass

from loqua_host.lessons.tutors import RunningTutor
from loqua_host.settings.host import HostSettings
from loqua_host.settings.jobs import JobSettings
from loqua_host.settings.secrets import HostSecrets
from loqua_host.settings.tutors import TutorSettings, engine_secrets
from loqua_host.system.sockets import SocketHandle

__all__ = ["Changes", "compare", "running_tutors"]


@dataclass(frozen=True, slots=True)
class Changes:
    """The tutors, by name, that came, went, or are to be taught by another worker."""

    enabled: tuple[str, ...]
    disabled: tuple[str, ...]
    changed: tuple[str, ...]


def running_tutors(
    settings: HostSettings,
    secrets: HostSecrets,
    versions: Mapping[str, str | None],
    *,
    link: SocketHandle,
    traced: bool,
) -> dict[str, RunningTutor]:
    """Return each enabled tutor with what its worker needs, by its name."""
    return {
        tutor.name: RunningTutor(
            _job_settings(tutor, settings, link, traced=traced),
            secrets.grant(tutor.secret_names | engine_secrets(settings.engines_for(tutor))),
            versions[tutor.name],
        )
        for tutor in settings.enabled_tutors
    }


def compare(old: Mapping[str, RunningTutor], new: Mapping[str, RunningTutor]) -> Changes:
    """Return how the one became the other."""
    return Changes(
        enabled=tuple(sorted(new.keys() - old.keys())),
        disabled=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(name for name in old.keys() & new.keys() if old[name] != new[name])),
    )


def _job_settings(
    tutor: TutorSettings, settings: HostSettings, link: SocketHandle, *, traced: bool
) -> JobSettings:
    return JobSettings(
        tutor=tutor,
        agent_id=settings.agent_id_for(tutor),
        engines=settings.engines_for(tutor),
        lesson=settings.lessons.in_jobs,
        messages=settings.messages,
        link=link,
        traced=traced,
    )
