"""Data for the learner's app, sent as text streams to this learner only."""

import structlog
from livekit import rtc
from pydantic import BaseModel

from loqua_host.contract.display import LessonOutcome, compose_message
from loqua_host.contract.lesson import Lesson
from loqua_host.system.tasks import within

__all__ = ["Display"]

log = structlog.get_logger()

SEND_SECONDS = 3.0
"""Seconds that sending may take, because the end of a lesson waits for it."""


class Display:
    """Send a tutor's and the host's data to the learner's app. A failure leaves the lesson alone.

    While the learner is away, there is nobody to send to, and it is dropped.

    Args:
        room: The room.
        lesson: The lesson.
    """

    def __init__(self, room: rtc.Room, lesson: Lesson) -> None:
        self._room = room
        self._lesson = lesson
        self._failed = False

    async def run(self) -> None:
        """Send what the tutor shows, in order, until cancelled."""
        while True:
            await self.send(await self._lesson.next_shown())

    async def close(self, outcome: LessonOutcome) -> None:
        """Send what the tutor showed last, and how the lesson ended."""
        for value in (*self._lesson.take_shown(), outcome):
            if not self._failed:
                await self.send(value)

    async def send(self, value: BaseModel) -> None:
        """Send a value of one of the topics."""
        identity = self._lesson.learner.identity
        if identity not in self._room.remote_participants:
            return
        topic, text = compose_message(self._lesson.id, value)
        sending = self._room.local_participant.send_text(
            text, topic=topic, destination_identities=[identity]
        )
        try:
            why = None if await within(SEND_SECONDS, sending) else "TimeoutError"
        except Exception as error:  # noqa: BLE001  # whatever the room raises
            why = type(error).__name__
        if why and not self._failed:
            log.warning("display.failed", error=why)
        self._failed = bool(why)
