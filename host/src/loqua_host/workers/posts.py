"""What each tutor's worker is made of, and what has to become of the workers when that changes."""

from collections.abc import Mapping
from dataclasses import dataclass

from loqua_host.job.settings import JobSettings
from loqua_host.lessons.hosted import HostedTutor
from loqua_host.settings.host import HostSettings
from loqua_host.settings.secrets import HostSecrets
from loqua_host.settings.tutors import TutorSettings, engine_secrets
from loqua_host.sockets import SocketHandle

__all__ = ["Changes", "Post", "compare", "make_posts"]


@dataclass(frozen=True, slots=True)
class Post:
    """What a tutor's worker is made of; of two that are equal, one worker serves for both.

    Attributes:
        version: The version of the distribution that its plugin comes with.
    """

    tutor: HostedTutor
    job: JobSettings
    version: str | None


@dataclass(frozen=True, slots=True)
class Changes:
    """The tutors, by name, that came, went, or are to be taught by another worker."""

    enabled: tuple[str, ...]
    disabled: tuple[str, ...]
    changed: tuple[str, ...]


def make_posts(
    settings: HostSettings,
    secrets: HostSecrets,
    versions: Mapping[str, str | None],
    *,
    link: SocketHandle,
    traced: bool,
) -> dict[str, Post]:
    """Give the post of each enabled tutor, by its name."""
    return {
        tutor.name: Post(
            _host(tutor, settings, secrets),
            _job_settings(tutor, settings, link, traced=traced),
            versions[tutor.name],
        )
        for tutor in settings.enabled_tutors
    }


def compare(old: Mapping[str, Post], new: Mapping[str, Post]) -> Changes:
    """Say how the one became the other."""
    return Changes(
        enabled=tuple(sorted(new.keys() - old.keys())),
        disabled=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(name for name in old.keys() & new.keys() if old[name] != new[name])),
    )


def _host(tutor: TutorSettings, settings: HostSettings, secrets: HostSecrets) -> HostedTutor:
    names = tutor.secret_names | engine_secrets(settings.engines_for(tutor))
    return HostedTutor(
        name=tutor.name,
        agent_name=tutor.agent_name or "",
        agent_id=settings.agent_id_for(tutor),
        max_jobs=tutor.max_concurrent_jobs,
        language=tutor.language,
        secrets=secrets.grant(names),
    )


def _job_settings(
    tutor: TutorSettings, settings: HostSettings, link: SocketHandle, *, traced: bool
) -> JobSettings:
    return JobSettings(
        tutor=tutor.name,
        agent_id=settings.agent_id_for(tutor),
        plugin=tutor.plugin,
        agent=tutor.agent,
        automatic=tutor.worker_type == "automatic",
        audio_input=tutor.audio_input,
        settings=tutor.settings,
        engines=settings.engines_for(tutor),
        link=link,
        lesson=settings.lessons.in_jobs,
        sentences=settings.sentences,
        traced=traced,
    )
