"""The caller of API calls, and a loaded context with its mode."""

from dataclasses import dataclass

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import Mode

__all__ = ["Caller", "Loaded"]


@dataclass(frozen=True, slots=True)
class Caller:
    """The learner, room and agent of a call; each caller has one user token."""

    user_id: str
    room: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """A learner's context and its mode."""

    context: LearnerContext
    mode: Mode
