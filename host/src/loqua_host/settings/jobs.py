"""What a job process is started with."""

from dataclasses import dataclass

from loqua_host.sockets import SocketHandle

from .engines import Engines
from .hooks import HookLimits
from .messages import Messages
from .tutors import TutorSettings

__all__ = ["JobSettings"]


@dataclass(frozen=True, slots=True)
class JobSettings:
    """What a job process is started with; holds no secret.

    Attributes:
        tutor: The tutor, as its file in config/tutors has it.
        agent_id: Who it is towards the Loqua API, for its log.
        engines: The engines of its lessons: its own, and the host's where it has none.
        limits: How long its hooks may take.
        messages: What the learner is told apart from what the tutor teaches.
        link: The host's end of the link.
        learner_timeout: Seconds to wait for a learner.
        tick_every: Seconds between progress ticks.
        failing_ticks: Failed ticks in a row after which they stop.
        grace: Seconds to wait for a learner who left.
        ask_after: Seconds of silence after which a learner is asked.
        end_after: Seconds of silence after that which end the lesson.
        longest: Seconds taught that no lesson exceeds.
        traced: Whether the host wants the job's spans.
    """

    tutor: TutorSettings
    agent_id: str
    engines: Engines
    limits: HookLimits
    messages: Messages
    link: SocketHandle
    learner_timeout: float
    tick_every: float
    failing_ticks: int
    grace: float
    ask_after: float
    end_after: float
    longest: float
    traced: bool
