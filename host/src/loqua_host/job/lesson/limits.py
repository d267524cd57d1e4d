"""How long a lesson may be and how long a learner may say nothing."""

import asyncio
import contextlib
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
from loqua_host.job.voice.session import say_out
from loqua_host.settings.jobs import JobSettings
from loqua_host.settings.messages import message_in

from .sequence import Reason
from .stopwatch import Stopwatch

__all__ = ["Deadline", "Silence", "Step", "TimeLimits", "keep_limits"]

log = structlog.get_logger()

LOOK_SECONDS = 1.0
NOTICE_SECONDS = 120.0
"""How long before its end a lesson is told of it; a short one in its last fifth."""

PAUSE_SECONDS = 1.0
"""The silence that a lesson whose time is up waits for: nobody is cut off."""

OVERTIME_SECONDS = 30.0
"""But no longer than this."""

RESERVE_SECONDS = 60.0
"""How long before its host's deadline a lesson's time is up, so that goodbye, hooks and record are
in time. Of a shorter time it is a quarter, or what these take at least."""

GOODBYE_SECONDS = 15.0
"""What they take at least; of a time that is too short for it they get half."""


class Step(StrEnum):
    """What is due now; an end is named by its reason."""

    ASK = "ask"
    NOTICE = "notice"
    SILENT = Reason.LEARNER_SILENT
    OVER = Reason.TIME_IS_UP


class Deadline:
    """When the host has to have the lesson over, if it has to.

    Args:
        clock: Gives seconds that never step.

    Attributes:
        reason: The reason that the lesson ends for then.
        overtime: Seconds that it may go on for once its time is up, until somebody pauses.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due = math.inf
        self.reason = ""
        self.overtime = OVERTIME_SECONDS

    @property
    def seconds_left(self) -> float:
        """Seconds until the lesson's time is up, negative after it; infinite without a deadline."""
        return self._due - self._clock()

    def set(self, seconds: float, reason: str) -> None:
        """Set the deadline to so many seconds from now; the earliest one counts."""
        reserve = min(RESERVE_SECONDS, max(seconds / 4, GOODBYE_SECONDS), seconds / 2)
        due = self._clock() + seconds - reserve
        if due < self._due:
            self._due, self.reason, self.overtime = due, reason, reserve / 3


class TimeLimits:
    """Says what is due, by the seconds of silence and those taught, and a deadline of the host's.

    Args:
        silence_prompt_after: Seconds of silence after which the learner is asked.
        silence_timeout: Seconds after that which end the lesson.
        max_duration: Seconds that no lesson exceeds.
        preferred: Seconds that the learner wishes it to last.
        deadline: The host's.
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
        """Return the seconds until the lesson's time is up, negative after it."""
        return min(self._length - taught, self._deadline.seconds_left)

    def step(self, silent: float, taught: float) -> Step | None:
        """Return what is due, or None; what was said once is not due again."""
        left = self.seconds_left(taught)
        if self._is_overdue(taught) or (left <= 0 and silent >= PAUSE_SECONDS):
            return Step.OVER
        if not self._noticed and left <= self._notice:
            self._noticed = True
            return Step.NOTICE
        return self._step_in_silence(silent)

    def reason(self, taught: float) -> str:
        """Return why the lesson's time is up."""
        own = self._length - taught <= self._deadline.seconds_left
        return Step.OVER.value if own else self._deadline.reason

    def _is_overdue(self, taught: float) -> bool:
        overtime = taught - self._length >= OVERTIME_SECONDS
        return overtime or -self._deadline.seconds_left >= self._deadline.overtime

    def _step_in_silence(self, silent: float) -> Step | None:
        if silent < self._silence_prompt_after:
            self._asked = False
        elif not self._asked:
            self._asked = True
            return Step.ASK
        elif silent >= self._silence_prompt_after + self._silence_timeout:
            return Step.SILENT
        return None


class Silence:
    """How long the learner could have spoken and has not: since their last word, in voice or text.

    It stands still while the tutor speaks or thinks, and while it is told not to listen.

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
        """Count from now on, or not while nobody could speak to this tutor."""
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


async def keep_limits(
    lesson: Lesson,
    settings: JobSettings,
    silence: Silence,
    clock: Stopwatch,
    deadline: Deadline,
    tell: Callable[[Event], None],
) -> None:
    """Ask a learner who says nothing, end a lesson in time; until cancelled.

    Args:
        lesson: The lesson.
        settings: With the limits, and what is said then.
        silence: The learner's.
        clock: The time taught.
        deadline: When the host has to have the lesson over.
        tell: Tells the tutor.
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
        await asyncio.sleep(LOOK_SECONDS)
        if not silence.listening:  # Nobody would hear it, or a specialist teaches.
            if -deadline.seconds_left >= deadline.overtime:
                lesson.end(deadline.reason)
            continue
        step = limits.step(silence.seconds, clock.seconds)
        match step:
            case Step.ASK:
                log.info("lesson.learner_silent", seconds=round(silence.seconds))
                tell(LearnerSilent(silence.seconds))
                with contextlib.suppress(RuntimeError):  # a tutor without a voice
                    lesson.session.say(message_in(lesson.language, settings.messages.still_there))
            case Step.NOTICE:
                tell(TimeRunningOut(max(0.0, limits.seconds_left(clock.seconds))))
            case Step.OVER:
                reason = limits.reason(clock.seconds)
                if reason == Step.OVER or lesson.handover is None:
                    # Else the tutor that called for this one says goodbye.
                    goodbye = message_in(lesson.language, settings.messages.time_is_up)
                    await say_out(lesson.session, goodbye)
                lesson.end(reason)
            case Step.SILENT:
                lesson.end(step.value)
