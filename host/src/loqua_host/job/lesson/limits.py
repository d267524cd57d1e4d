"""The time limits of a lesson: its duration, the learner's silence, the host's deadline."""

import asyncio
import math
from collections.abc import Callable
from enum import StrEnum

import structlog
from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import ChatMessage

from loqua_host.contract.lesson import Lesson
from loqua_host.events import Event, LearnerSilent, TimeRunningOut
from loqua_host.job.voice.session import say_message, say_out
from loqua_host.settings.jobs import JobSettings
from loqua_host.settings.messages import message_in

from .sequence import Reason
from .stopwatch import Stopwatch

__all__ = ["Deadline", "LimitStep", "Silence", "TimeLimits", "enforce_limits"]

log = structlog.get_logger()

POLL_SECONDS = 1.0
NOTICE_SECONDS = 120.0
"""Seconds before the end at which `TimeRunningOut` comes; in a short lesson, its last fifth."""

PAUSE_SECONDS = 1.0
"""Seconds of silence that a lesson waits for when its time is over, to interrupt nobody."""

OVERTIME_SECONDS = 30.0
"""Maximum seconds of that wait."""

RESERVE_SECONDS = 60.0
"""Seconds before the host's deadline at which a lesson's time is over, for goodbye, hooks and
record. Of a shorter time, it is a quarter, but at least `GOODBYE_SECONDS`."""

GOODBYE_SECONDS = 15.0
"""Minimum seconds for goodbye, hooks and record; of a shorter time, half."""


class LimitStep(StrEnum):
    """The next step; an end has the name of its reason."""

    ASK = "ask"
    NOTICE = "notice"
    SILENT = Reason.LEARNER_SILENT
    OVER = Reason.TIME_IS_UP


class Deadline:
    """The host's deadline for the lesson, if there is one.

    Args:
        clock: A monotonic clock in seconds.

    Attributes:
        reason: The reason for which the lesson then ends.
        overtime: Seconds that it may continue after its time is over, until a pause.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due = math.inf
        self.reason = ""
        self.overtime = OVERTIME_SECONDS

    @property
    def seconds_left(self) -> float:
        """Seconds until the lesson's time is over; infinite without a deadline."""
        return self._due - self._clock()

    def set(self, seconds: float, reason: str) -> None:
        """Set the deadline to these seconds from now; the earliest one counts."""
        reserve = min(RESERVE_SECONDS, max(seconds / 4, GOODBYE_SECONDS), seconds / 2)
        due = self._clock() + seconds - reserve
        if due < self._due:
            self._due, self.reason, self.overtime = due, reason, reserve / 3


class TimeLimits:
    """Decide on the next step from the silence, the time taught and the host's deadline.

    Args:
        silence_prompt_after: Seconds of silence after which the learner is asked.
        silence_timeout: Seconds of further silence after which the lesson ends.
        max_duration: The maximum duration in seconds.
        preferred: The learner's preferred duration in seconds.
        deadline: The host's deadline.
    """

    def __init__(
        self,
        silence_prompt_after: float,
        silence_timeout: float,
        max_duration: float,
        preferred: float | None,
        deadline: Deadline,
    ) -> None:
        self._silence_prompt_after = silence_prompt_after
        self._silence_timeout = silence_timeout
        self._length = min(preferred or max_duration, max_duration)
        self._deadline = deadline
        self._notice = min(NOTICE_SECONDS, self._length / 5)
        self._asked = False
        self._noticed = False

    def seconds_left(self, taught: float) -> float:
        """Return the seconds until the lesson's time is over, negative after it."""
        return min(self._length - taught, self._deadline.seconds_left)

    def step(self, silent: float, taught: float) -> LimitStep | None:
        """Return the step that is due, or None. Prompts are due once."""
        left = self.seconds_left(taught)
        if self._is_overdue(taught) or (left <= 0 and silent >= PAUSE_SECONDS):
            return LimitStep.OVER
        if not self._noticed and left <= self._notice:
            self._noticed = True
            return LimitStep.NOTICE
        return self._step_in_silence(silent)

    def reason(self, taught: float) -> str:
        """Return the reason for which the lesson's time is over."""
        own = self._length - taught <= self._deadline.seconds_left
        return LimitStep.OVER.value if own else self._deadline.reason

    def _is_overdue(self, taught: float) -> bool:
        overtime = taught - self._length >= OVERTIME_SECONDS
        return overtime or -self._deadline.seconds_left >= self._deadline.overtime

    def _step_in_silence(self, silent: float) -> LimitStep | None:
        if silent < self._silence_prompt_after:
            self._asked = False
        elif not self._asked:
            self._asked = True
            return LimitStep.ASK
        elif silent >= self._silence_prompt_after + self._silence_timeout:
            return LimitStep.SILENT
        return None


class Silence:
    """The learner's silence: the time since their last word in which they could have spoken.

    It does not count while the tutor speaks or thinks, or while `listening` is False.

    Attributes:
        listening: Whether the learner could speak to this tutor.
    """

    def __init__(self, session: "AgentSession[None]", clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        self._watch = Stopwatch(clock)
        self.listening = self._learner_speaks = self._tutor_speaks = False

    @property
    def seconds(self) -> float:
        """Seconds of silence so far."""
        return self._watch.seconds

    def watch(self) -> None:
        """Follow the session from now on."""
        self._session.on("user_state_changed", self._on_learner)
        self._session.on("agent_state_changed", self._on_tutor)
        self._session.on("conversation_item_added", self._on_item)

    def unwatch(self) -> None:
        """Follow it no longer."""
        self._session.off("user_state_changed", self._on_learner)
        self._session.off("agent_state_changed", self._on_tutor)
        self._session.off("conversation_item_added", self._on_item)

    def listen(self, on: bool) -> None:
        """Start or stop counting, depending on whether the learner could speak to this tutor."""
        self.listening = on
        self._set()

    def end(self) -> None:
        """Restart the count: the learner has said something."""
        self._watch = Stopwatch(self._clock)
        self._set()

    def _on_learner(self, event: UserStateChangedEvent) -> None:
        self._learner_speaks = event.new_state == "speaking"
        if "speaking" in (event.old_state, event.new_state):
            self.end()

    def _on_tutor(self, event: AgentStateChangedEvent) -> None:
        self._tutor_speaks = event.new_state in ("speaking", "thinking")
        self._set()

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, ChatMessage) and event.item.role == "user":
            self.end()

    def _set(self) -> None:
        counts = self.listening and not self._learner_speaks and not self._tutor_speaks
        (self._watch.run if counts else self._watch.pause)()


async def enforce_limits(
    lesson: Lesson,
    settings: JobSettings,
    silence: Silence,
    clock: Stopwatch,
    deadline: Deadline,
    emit: Callable[[Event], None],
) -> None:
    """Prompt a silent learner and end the lesson in time, until cancelled.

    Args:
        lesson: The lesson.
        settings: The limits and messages.
        silence: The learner's silence.
        clock: The time taught.
        deadline: The host's deadline.
        emit: Sends events to the tutor.
    """
    minutes = lesson.context.preferences.session_length_preference
    allowed = settings.lesson
    limits = TimeLimits(
        allowed.silence_prompt_after,
        allowed.silence_timeout,
        allowed.max_duration,
        minutes and minutes * 60,
        deadline,
    )
    while True:
        await asyncio.sleep(POLL_SECONDS)
        if not silence.listening:  # The learner is away, or a specialist teaches.
            if -deadline.seconds_left >= deadline.overtime:
                lesson.end(deadline.reason)
            continue
        step = limits.step(silence.seconds, clock.seconds)
        match step:
            case LimitStep.ASK:
                log.info("lesson.learner_silent", seconds=round(silence.seconds))
                emit(LearnerSilent(silence.seconds))
                asked = message_in(lesson.language, settings.messages.still_there)
                say_message(lesson.session, asked)
            case LimitStep.NOTICE:
                emit(TimeRunningOut(max(0.0, limits.seconds_left(clock.seconds))))
            case LimitStep.OVER:
                reason = limits.reason(clock.seconds)
                if reason == LimitStep.OVER or lesson.handover is None:
                    # A called specialist says no goodbye; the calling tutor does.
                    goodbye = message_in(lesson.language, settings.messages.time_is_up)
                    await say_out(lesson.session, goodbye)
                lesson.end(reason)
            case LimitStep.SILENT:
                lesson.end(step.value)
