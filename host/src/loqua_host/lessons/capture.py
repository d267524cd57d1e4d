"""The capture of a lesson's link: which parts of its messages are stored, and when."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog
from pydantic import BaseModel

from loqua_host.contract.handoff import Handback, HandoffRequest, Utterance
from loqua_host.contract.learner import Learner, LearnerContext
from loqua_host.contract.records import Ending, LessonReport
from loqua_host.link.messages import (
    CallSpecialist,
    Checkpoint,
    Finish,
    FromJob,
    HandedBack,
    Returned,
    ToJob,
    Welcome,
)
from loqua_host.link.server import JobLink
from loqua_host.records.captures import CapturedJob, CapturedMessage, Captures
from loqua_host.records.ledger import LessonRow

from .prepared_lesson import PreparedLesson

__all__ = ["REDACTED", "Capture", "captured"]

log = structlog.get_logger()

REDACTED: Final = "[…]"
"""The replacement of anything that identifies the learner."""

NOBODY: Final = Learner(user_id="learner", identity="learner")

TELLING: Final = r"\S+@\S+|\d[\d ./-]{3,}\d"
"""An address, or a number of five digits and more, such as one of a telephone."""

MOST_MESSAGES: Final = 5000
"""Maximum messages of one job; no lesson has as many."""


class Capture:
    """Store the messages of a link that a replay needs, without identifying the learner.

    Ids, attributes, secrets, the tutor's state and the words of other learners are left out. In
    what is said, the learner's name, addresses and long numbers are replaced.

    Args:
        learner: The learner.
        clock: The monotonic clock, in seconds.
    """

    def __init__(self, learner: Learner, clock: Callable[[], float]) -> None:
        self._learner = learner
        self._clock = clock
        self._began = clock()
        self._names = _pattern(learner)
        self._known: tuple[Utterance, ...] = ()
        self.messages: list[CapturedMessage] = []

    def note(self, message: BaseModel) -> None:
        """Keep a message of either direction, if a replay needs it."""
        redacted = self._redacted(message)
        if redacted is not None and len(self.messages) < MOST_MESSAGES:
            self.messages.append(CapturedMessage(at=self._clock() - self._began, message=redacted))

    def _redacted(self, message: BaseModel) -> FromJob | ToJob | None:
        redacted: FromJob | ToJob | None = None
        match message:
            case Welcome():
                redacted = self._welcome(message)
            case Checkpoint(turns=turns, seconds=seconds, progress=progress):
                redacted = Checkpoint(seconds=seconds, progress=progress, turns=self._new(turns))
            case CallSpecialist(agent_name=name, request=request):
                texts = {
                    "focus": self._text(request.focus),
                    "words": [*map(self._text, request.words)],
                }
                redacted = CallSpecialist(
                    agent_name=name, request=HandoffRequest.model_validate(texts)
                )
            case HandedBack(handback=handback):
                redacted = HandedBack(handback=Handback(outcome=handback.outcome))
            case Returned():
                redacted = Returned(learner=NOBODY)
            case Finish(ending=ending, report=report, turns=turns):
                final = LessonReport(progress=report.progress if report else None)
                ending = Ending(reason=self._text(ending.reason), seconds=ending.seconds)
                redacted = Finish(ending=ending, report=final, turns=self._new(turns))
        return redacted

    def _welcome(self, message: Welcome) -> Welcome:
        self._known = message.turns
        return Welcome(
            lesson="",
            session_id="",
            visit="",
            room="",
            agent_id="",
            learner=NOBODY,
            context=_impersonal(message.context),
            language=message.language,
            mode=message.mode,
            resumed=message.resumed,
            seconds=message.seconds,
            progress=message.progress,
        )

    def _new(self, turns: tuple[Utterance, ...]) -> tuple[Utterance, ...]:
        """Return what was said since the last message: each has the last turns of all."""
        new = turns[_overlap(self._known, turns) :]
        self._known = turns
        own = ("", self._learner.user_id)
        return tuple(
            Utterance(speaker=one.speaker, text=self._text(one.text))
            for one in new
            if one.learner in own
        )

    def _text(self, text: str) -> str:
        return self._names.sub(REDACTED, text)[:300]


def _pattern(learner: Learner) -> re.Pattern[str]:
    """Return what tells who the learner is, as a pattern."""
    known = (learner.user_id, learner.identity, *learner.display_name.split())
    names = sorted({re.escape(one) for one in known if len(one) > 1}, key=len, reverse=True)
    return re.compile("|".join((TELLING, *(rf"\b{name}\b" for name in names))), re.IGNORECASE)


def _overlap(before: Sequence[Utterance], now: Sequence[Utterance]) -> int:
    """Return with how many of the turns before the turns of now begin."""
    most = min(len(before), len(now))
    return next(it for it in range(most, -1, -1) if [*before[len(before) - it :]] == [*now[:it]])


def _impersonal(context: LearnerContext) -> LearnerContext:
    """Return a context without ids and dates of sessions."""
    sessions = tuple(
        one.model_copy(update={"session_id": "", "date": None}) for one in context.session_history
    )
    return context.model_copy(update={"session_history": sessions})


@asynccontextmanager
async def captured(
    captures: Captures | None,
    row: LessonRow,
    link: JobLink,
    prepared: PreparedLesson,
    clock: Callable[[], float],
) -> AsyncIterator[None]:
    """Capture a link for the duration of a block, if the host does so and the learner allows it."""
    if captures is None or prepared.context.preferences.replay_consent is not True:
        yield
        return
    capture = Capture(prepared.learner, clock)
    link.tap = capture.note
    try:
        yield
    finally:
        part = CapturedJob(tutor=row.tutor, messages=tuple(capture.messages))
        try:
            await asyncio.to_thread(captures.append, row.session_id, part)
        except OSError as error:
            log.error(
                "lesson.not_captured",
                why=str(error),
                hint="write a directory that the host can write to in ledger.captures",
            )
