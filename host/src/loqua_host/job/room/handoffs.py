"""A tutor's calls to specialists: announce them, request them from the host, return the result."""

import asyncio

import structlog
from pydantic import ValidationError

from loqua_host.contract.handoff import Handback, SpecialistCall
from loqua_host.contract.lesson import Lesson
from loqua_host.errors import HandoffError, LinkError
from loqua_host.job.lesson.conversation import last_sentences
from loqua_host.job.voice.session import say_out
from loqua_host.link.client import HostLink
from loqua_host.link.messages import CallSpecialist, HandedBack, HandoffRefused, reasons_of
from loqua_host.settings.messages import Message, message_in
from loqua_host.system.tasks import background

from .floor import Floor

__all__ = ["HandoffClient"]

log = structlog.get_logger()

SENTENCES = 6
"""Number of sentences of the conversation that a specialist receives."""


class HandoffClient:
    """Handle a lesson's calls to specialists, one at a time.

    Args:
        lesson: The lesson.
        link: The link to the host, which dispatches the specialist.
        floor: The floor.
        announcement: What the learner hears before the specialist, by language.
    """

    def __init__(self, lesson: Lesson, link: HostLink, floor: Floor, announcement: Message) -> None:
        self._lesson = lesson
        self._link = link
        self._floor = floor
        self._announcement = message_in(lesson.language, announcement)
        self._answers = asyncio.Queue[HandedBack | HandoffRefused]()

    def on_answer(self, answer: HandedBack | HandoffRefused) -> None:
        """Handle the host's answer."""
        self._answers.put_nowait(answer)

    async def take_up(self) -> Handback | None:
        """Wait for the result of the specialist that an earlier job of this lesson has called."""
        answer = await self._answers.get()
        return answer.handback if isinstance(answer, HandedBack) else None

    async def run(self) -> None:
        """Serve the tutor's calls until cancelled."""
        while True:
            call = await self._lesson.next_call()
            try:
                call.answer.set_result(await self._hand_over(call))
            except HandoffError as error:
                call.answer.set_exception(error)
            except ValidationError as error:
                call.answer.set_exception(HandoffError(reasons_of(error)))
            except LinkError:  # the link's reader handles it
                call.answer.cancel()
            finally:
                # If the lesson ends meanwhile, nobody needs the result.
                call.answer.cancel()

    async def _hand_over(self, call: SpecialistCall) -> Handback:
        message = CallSpecialist(
            agent_name=call.agent_name,
            request=call.request,
            sentences=last_sentences(self._lesson.session, SENTENCES),
        )
        self._floor.begin_call()
        try:
            await self._link.send(message)
            async with background() as tasks:
                tasks.create_task(self._fall_silent())
                answer = await self._answers.get()
        finally:
            self._floor.take_back()
        if isinstance(answer, HandoffRefused):
            raise HandoffError(answer.why)
        await self._floor.free()
        log.info("lesson.handed_back", outcome=answer.handback.outcome)
        return answer.handback

    async def _fall_silent(self) -> None:
        """Announce the specialist that has joined, and give it the floor."""
        await self._floor.wanted()
        await say_out(self._lesson.session, self._announcement)
        self._floor.give()
