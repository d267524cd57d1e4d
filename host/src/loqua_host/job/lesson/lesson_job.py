"""A lesson with all that its job has for it."""

from dataclasses import dataclass

from livekit.agents import JobContext

from loqua_host.contract.lesson import Lesson
from loqua_host.job.telemetry import Telemetry
from loqua_host.link.client import HostLink
from loqua_host.registry.caller import HookCaller
from loqua_host.settings.jobs import JobSettings

from .stopwatch import Stopwatch

__all__ = ["LessonJob"]


@dataclass(frozen=True, slots=True)
class LessonJob:
    """A lesson with all that its job has for it.

    Attributes:
        ctx: LiveKit's view of the job.
        link: The link to the host.
        lesson: The lesson.
        hooks: Calls the tutor's hooks.
        settings: What the job was started with.
        clock: Counts the time taught.
        last_try: Whether no other job goes on with the lesson after this one.
        telemetry: Tells the host in passing.
    """

    ctx: JobContext
    link: HostLink
    lesson: Lesson
    hooks: HookCaller
    settings: JobSettings
    clock: Stopwatch
    last_try: bool
    telemetry: Telemetry
