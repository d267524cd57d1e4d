"""Checkpoints to resume a lesson from, sent to the host after each turn and each tick."""

import asyncio
import contextlib
from typing import Any

import structlog
from livekit.agents import ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage
from pydantic import ValidationError

from loqua_host.contract.lesson import Lesson
from loqua_host.contract.records import Progress
from loqua_host.errors import LinkError
from loqua_host.link.client import HostLink
from loqua_host.link.messages import MAX_TURNS, Checkpoint, check_state, reasons_of

from .conversation import last_sentences
from .stopwatch import Stopwatch

__all__ = ["Checkpoints"]

log = structlog.get_logger()


class Checkpoints:
    """Send the time taught, the tutor's state, the last turns, and progress if there is any.

    Args:
        lesson: The lesson.
        link: The link to the host.
        clock: The time taught.
    """

    def __init__(self, lesson: Lesson, link: HostLink, clock: Stopwatch) -> None:
        self._lesson = lesson
        self._link = link
        self._clock = clock
        self._due = asyncio.Event()
        self._refused = ""

    def watch(self) -> None:
        """Start to follow the conversation."""
        self._lesson.session.on("conversation_item_added", self._on_item)

    def unwatch(self) -> None:
        """Follow it no longer."""
        self._lesson.session.off("conversation_item_added", self._on_item)

    async def run(self) -> None:
        """Send a checkpoint after each utterance of learner or tutor, until cancelled."""
        while True:
            await self._due.wait()
            await self.send()

    async def send(self, progress: Progress | None = None) -> None:
        """Send a checkpoint now. If the host is gone, the link's reader handles it.

        An invalid state is logged and omitted; the host keeps the previous one.
        """
        self._due.clear()
        with contextlib.suppress(LinkError):
            await self._link.send(self._compose(progress))

    def _compose(self, progress: Progress | None) -> Checkpoint:
        state: Any = self._lesson.state
        if problem := _state_problem(state):
            self._refuse_state(problem)
            state = None
        turns = last_sentences(self._lesson.session, MAX_TURNS)
        seconds = self._clock.seconds
        try:
            return Checkpoint(seconds=seconds, progress=progress, state=state, turns=turns)
        except ValidationError as error:
            log.error("lesson.progress_refused", why=reasons_of(error))
            return Checkpoint(seconds=seconds, state=state, turns=turns)

    def _refuse_state(self, problem: str) -> None:
        """Log the problem of an invalid state, once while it is the same."""
        if problem != self._refused:
            self._refused = problem
            hint = "keep text, finite numbers, True, False, None, lists and dicts in lesson.state"
            log.warning("lesson.state_refused", why=problem, hint=hint)

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, ChatMessage):
            self._due.set()


def _state_problem(state: object) -> str | None:
    """Return why a state is invalid, without keys or values, which may be a learner's words."""
    try:
        check_state(state)
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["type"] == "value_error":
            return problem["msg"].removeprefix("Value error, ")
        wrong = type(problem["input"]).__name__
        part = "holds" if problem["loc"] else "is"
        return f"lesson.state {part} a value of type {wrong}, which JSON does not have"
    return None
