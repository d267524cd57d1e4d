"""On whose behalf the API is called, and what a lesson gets of a learner's context."""

from dataclasses import dataclass

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import Mode

__all__ = ["Caller", "Loaded"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls for whom and from where; one user token belongs to each."""

    user_id: str
    room: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A learner's context and how much of the API stands behind it."""

    context: LearnerContext
    mode: Mode
