"""`RunningTutor`, a tutor that this host runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loqua_host.settings.jobs import JobSettings

__all__ = ["TUTOR", "RunningTutor", "find_agent_name"]

TUTOR = "loqua.tutor"
"""The participant attribute with a tutor's name in config/tutors."""


@dataclass(frozen=True, slots=True)
class RunningTutor:
    """A tutor that this host runs. Its worker is replaced when it changes.

    Attributes:
        job: The settings of its job processes.
        secrets: The latest values of its own and its engines' secrets, by name.
        version: The version of its plugin's package.
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
        """Its agent name; empty for automatic dispatch."""
        return self.job.tutor.agent_name or ""

    @property
    def agent_id(self) -> str:
        """Its agent id for the Loqua API."""
        return self.job.agent_id

    @property
    def max_jobs(self) -> int:
        """The maximum of concurrent jobs."""
        return self.job.tutor.max_concurrent_jobs

    @property
    def language(self) -> str:
        """The ISO 639-1 code of the language for learners without a preference."""
        return self.job.tutor.language


def find_agent_name(
    tutor: str, own: Mapping[str, RunningTutor], elsewhere: Mapping[str, str]
) -> str | None:
    """Return a tutor's agent name, or None if it runs nowhere.

    Args:
        tutor: Its name.
        own: The tutors of this host.
        elsewhere: The specialists of other hosts, as agent names by tutor.
    """
    return own[tutor].agent_name if tutor in own else elsewhere.get(tutor)
