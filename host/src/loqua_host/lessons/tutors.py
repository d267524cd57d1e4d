"""The tutors that a host runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loqua_host.settings.jobs import JobSettings

__all__ = ["TUTOR", "RunningTutor"]

TUTOR = "loqua.tutor"
"""The attribute by which a tutor of this host is known in a room: its name in config/tutors."""


@dataclass(frozen=True, slots=True)
class RunningTutor:
    """A tutor that this host runs; of two that are equal, one worker serves for both.

    Attributes:
        job: What its job processes are started with, its file in config/tutors among it.
        secrets: Its own secrets and its engines', by name, each as it was last seen.
        version: The version of the distribution that its plugin comes with.
    """

    job: JobSettings
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    version: str | None = None

    @property
    def name(self) -> str:
        """Its name in config/tutors."""
        return self.job.tutor.name

    @property
    def agent_name(self) -> str:
        """The name it is dispatched by; empty for automatic dispatch."""
        return self.job.tutor.agent_name or ""

    @property
    def agent_id(self) -> str:
        """Who it is towards the Loqua API."""
        return self.job.agent_id

    @property
    def max_jobs(self) -> int:
        """Lessons at a time."""
        return self.job.tutor.max_concurrent_jobs

    @property
    def language(self) -> str:
        """What it teaches a learner whose preferences name none, as ISO 639-1."""
        return self.job.tutor.language
