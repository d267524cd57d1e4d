"""What a job process is started with."""

from dataclasses import dataclass

from loqua_host.system.sockets import SocketHandle

from .engines import Engines
from .lessons import LessonLimits
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
        lesson: How long a lesson and its parts may take.
        messages: What the learner is told apart from what the tutor teaches.
        link: The host's end of the link.
        traced: Whether the host wants the job's spans.
    """

    tutor: TutorSettings
    agent_id: str
    engines: Engines
    lesson: LessonLimits
    messages: Messages
    link: SocketHandle
    traced: bool
