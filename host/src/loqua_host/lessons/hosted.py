"""A tutor as the host runs it: declaration and configuration made one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["TUTOR", "HostedTutor"]

TUTOR = "loqua.tutor"
"""The attribute by which a tutor of this host is known in a room: its name in config/tutors."""


@dataclass(frozen=True, slots=True)
class HostedTutor:
    """A tutor that this host runs.

    Attributes:
        name: Its name in config/tutors.
        agent_name: The name it is dispatched by; empty for automatic dispatch.
        agent_id: Who it is towards the Loqua API.
        max_jobs: Lessons at a time.
        secrets: Its own secrets and its engines', by name, each as it was last seen.
        language: What it teaches a learner whose preferences name none, as ISO 639-1.
    """

    name: str
    agent_name: str
    agent_id: str
    max_jobs: int
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    language: str = "en"
