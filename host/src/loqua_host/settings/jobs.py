"""The settings that a job process is started with."""

from dataclasses import dataclass

from loqua_host.system.sandbox import Sandbox
from loqua_host.system.sockets import SocketHandle

from .engines import Engines
from .lessons import LessonLimits
from .messages import Messages
from .tutors import TutorSettings

__all__ = ["JobSettings"]


@dataclass(frozen=True, slots=True)
class JobSettings:
    """The settings that a job process is started with; contains no secret.

    Attributes:
        tutor: The settings of the tutor.
        agent_id: The tutor's agent id for the Loqua API, for its logs.
        engines: The engines of its lessons: its own, or else the host's.
        sandbox: What its processes may do.
        lesson: The time limits of a lesson.
        messages: What the host says to learners.
        link: The host's end of the link.
        traced: Whether the host collects the job's spans.
    """

    tutor: TutorSettings
    agent_id: str
    engines: Engines
    sandbox: Sandbox
    lesson: LessonLimits
    messages: Messages
    link: SocketHandle
    traced: bool
