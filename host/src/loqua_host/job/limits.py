"""How long a lesson may be and how long a learner may say nothing."""

import asyncio
import contextlib
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
from loqua_host.contract.sentences import sentence_in
from loqua_host.events import Event, LearnerSilent, TimeRunningOut

from .clock import Stopwatch
from .settings import JobSettings
from .voice import say_out

__all__ = ["Limits", "Silence", "Step", "keep_limits"]

log = structlog.get_logger()

LOOK_SECONDS = 1.0
NOTICE_SECONDS = 120.0
"""How long before its end a lesson is told of it; a short one in its last fifth."""

PAUSE_SECONDS = 1.0
"""The silence that a lesson whose time is up waits for: nobody is cut off."""

OVERTIME_SECONDS = 30.0
"""But no longer than this."""


class Step(StrEnum):
    """What is due now; an end is named by its reason."""

    ASK = "ask"
    NOTICE = "notice"
    SILENT = "learner_silent"
    OVER = "time_is_up"


class Limits:
    """Says what is due, by the seconds of silence and those taught.

    Args:
        ask_after: Seconds of silence after which the learner is asked.
        end_after: Seconds after that which end the lesson.
        longest: Seconds that no lesson exceeds.
        preferred: Seconds that the learner wishes it to last.
    """

    def __init__(
        self, ask_after: float, end_after: float, longest: float, preferred: float | None
    ) -> None:
        self._ask_after = ask_after
        self._end_after = end_after
        self.length = min(preferred or longest, longest)
        self._notice = min(NOTICE_SECONDS, self.length / 5)
        self._asked = False
        self._noticed = False

    def step(self, silent: float, taught: float) -> Step | None:
        """Get what is due, or None; what was said once is not due again."""
        over = taught - self.length
        if over >= OVERTIME_SECONDS or (over >= 0 and silent >= PAUSE_SECONDS):
            return Step.OVER
        if not self._noticed and -over <= self._notice:
            self._noticed = True
            return Step.NOTICE
        return self._step_in_silence(silent)

    def _step_in_silence(self, silent: float) -> Step | None:
        if silent < self._ask_after:
            self._asked = False
        elif not self._asked:
            self._asked = True
            return Step.ASK
        elif silent >= self._ask_after + self._end_after:
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
        """Begin anew: the learner has said something."""
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
    tell: Callable[[Event], None],
) -> None:
    """Ask a learner who says nothing, end a lesson in time; until cancelled.

    Args:
        lesson: The lesson.
        settings: With the limits, and what is said then.
        silence: The learner's.
        clock: The time taught.
        tell: Tells the tutor.
    """
    minutes = lesson.context.preferences.session_length_preference
    limits = Limits(
        settings.ask_after, settings.end_after, settings.longest, minutes and minutes * 60
    )
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if not silence.listening:
            continue  # Nobody would hear it, or a specialist teaches.
        step = limits.step(silence.seconds, clock.seconds)
        match step:
            case Step.ASK:
                log.info("lesson.learner_silent", seconds=round(silence.seconds))
                tell(LearnerSilent(silence.seconds))
                with contextlib.suppress(RuntimeError):  # a tutor without a voice
                    lesson.session.say(sentence_in(lesson.language, settings.sentences.still_there))
            case Step.NOTICE:
                tell(TimeRunningOut(max(0.0, limits.length - clock.seconds)))
            case Step.OVER:
                goodbye = sentence_in(lesson.language, settings.sentences.time_is_up)
                await say_out(lesson.session, goodbye)
                lesson.end(step.value)
            case Step.SILENT:
                lesson.end(step.value)
