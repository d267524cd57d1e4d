"""`LessonJob`, a lesson with its collaborators in the job."""

from dataclasses import dataclass

from livekit.agents import JobContext

from loqua_host.contract.lesson import Lesson
from loqua_host.job.room.camera import Camera
from loqua_host.job.telemetry import Telemetry
from loqua_host.link.client import HostLink
from loqua_host.registry.caller import HookCaller
from loqua_host.settings.jobs import JobSettings

from .stopwatch import Stopwatch

__all__ = ["LessonJob"]


@dataclass(frozen=True, slots=True)
class LessonJob:
    """A lesson with its collaborators in the job.

    Attributes:
        ctx: LiveKit's job context.
        link: The link to the host.
        lesson: The lesson.
        hooks: Calls the tutor's hooks.
        settings: The settings of the job.
        clock: Counts the time taught.
        last_try: Whether this is the last job that tries the lesson.
        called: Whether an earlier job has called a specialist, whose result the host will send.
        telemetry: Sends metrics and similar messages to the host.
        camera: The learner's, for a tutor that asks for video.
    """

    ctx: JobContext
    link: HostLink
    lesson: Lesson
    hooks: HookCaller
    settings: JobSettings
    clock: Stopwatch
    last_try: bool
    called: bool
    telemetry: Telemetry
    camera: Camera | None = None
