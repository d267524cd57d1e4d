"""A tutor as the host runs it: declaration and configuration made one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loqua_host.settings.rules import RecordRules

__all__ = ["LINE", "TUTOR", "HostedTutor", "LessonSettings"]

TUTOR = "loqua.tutor"
"""The attribute by which a tutor of this host is known in a room: its name in config/tutors."""

LINE = "loqua.line"
"""The metadata of a dispatch that asks for one sentence in place of a tutor: that one will come."""


@dataclass(frozen=True, slots=True)
class HostedTutor:
    """A tutor that this host runs.

    Attributes:
        name: Its name in config/tutors.
        agent_name: The name it is dispatched by; empty for automatic dispatch.
        agent_id: Who it is towards the Loqua API.
        max_jobs: Lessons at a time.
        secrets: Its own secrets and its engines', by name, each as it was last seen.
        says_line: Whether it has a voice, and a sentence for who waits for a place.
    """

    name: str
    agent_name: str
    agent_id: str
    max_jobs: int
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    says_line: bool = False


@dataclass(frozen=True, slots=True)
class LessonSettings:
    """How lessons run.

    Attributes:
        learner_timeout: Seconds that a job waits for its learner.
        health_every: Seconds between health calls to the API.
        default_language: Taught when the learner's preferences name none; ISO 639-1.
        apologies: What a learner hears when a lesson cannot be given, by language.
        records: By which records say more than tutors told.
        tutor_comes: What a learner hears for whom there is no place yet, by language, if anything.
    """

    learner_timeout: float
    health_every: float
    default_language: str
    apologies: Mapping[str, str]
    records: RecordRules = field(default_factory=RecordRules)
    tutor_comes: Mapping[str, str] | None = None

    def apology(self, language: str) -> str:
        """Get the apology in this language, or in English."""
        return self.apologies.get(language, self.apologies["en"])
