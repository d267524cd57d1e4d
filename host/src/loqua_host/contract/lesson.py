"""`Lesson`, the object that hooks receive: one learner with one tutor in one room."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import structlog
from pydantic import JsonValue

from loqua_host.errors import HandoffError
from loqua_host.events import Event

from .display import ShownValue
from .handoff import Handback, HandoffRequest, Handover, SpecialistCall, Utterance
from .learner import Learner, LearnerContext
from .records import Mode, Progress
from .tutor import Settings_co

if TYPE_CHECKING:
    from livekit.agents import Agent, AgentSession
    from livekit.agents.tts import TTS
    from livekit.rtc import VideoFrame

__all__ = ["Lesson", "current_lesson", "teach"]

_Kind = TypeVar("_Kind", bound=Event)
_Agent = TypeVar("_Agent", bound="Agent")
_Handler = Callable[[Any], Awaitable[None]]


async def _see_nothing() -> None:
    """Return no picture."""


@dataclass(eq=False, kw_only=True)
class Lesson(Generic[Settings_co]):
    """One learner with one tutor in one room.

    `Lesson[MySettings]` is a lesson of the tutor that declares `Tutor(settings=MySettings)`; a
    tutor without settings writes `Lesson`. It lives in the job process and contains no secret of
    the host.

    Attributes:
        id: The lesson's id, unique in the ledger.
        visit: The id of the learner's visit to the room, which may have several lessons.
        room: The name of the LiveKit room.
        learner: The learner, as the host identified them.
        context: The learner's context from the API; empty in basic and mock mode until the host
            can load it.
        language: The language taught, as an ISO 639-1 code (`es`).
        settings: The tutor's settings, an instance of the model that it declares.
        secrets: The secrets that the tutor declares, by name.
        mode: How much of the API is available to the lesson; the host updates it.
        resumed: Whether an earlier process taught the first part of this lesson.
        progress: The last tick's progress in that part; None in a new lesson.
        others: The other identified learners in the room; the host updates it.
        state: The tutor's state as JSON values, at most 16 kB. It is saved after each turn and
            with each tick, and restored when the lesson is resumed. If it is not JSON or too
            large, `lesson.state_refused` is logged and the previous state stays saved.
        turns: In a resumed lesson, the last utterances before, oldest first. The session's
            history, and an agent without a chat context of its own, contain them too.
        handover: The information from the tutor that called this specialist, else None.
        handback: In a resumed lesson that had called a specialist, the specialist's result, set
            before `on_user_ready`; else None.
        session: LiveKit's voice session, started after `create_agent` returns.
        agent: The result of `create_agent`; `get_agent` returns it with its own type.
        look: Returns what the learner's camera or shared screen shows, for a tutor that declares
            `Tutor(video=True)`; None if nothing is shown or no picture comes within 2 s. Video is
            received during `await lesson.look()` only, some tenths of a second.
            `llm.ImageContent(image=frame)` shows a picture to a language model that sees.
        expects: Set by a tutor that knows which answer is complete: called with the words of each
            utterance, and if it returns True, the learner's turn ends after `turn.min_delay`, even
            if they sound as if they went on. Without it, the sound decides.
        voice_in: Builds the configured speech synthesis for another language, by its ISO 639-1
            code, for what a tutor says in the learner's native language; the tutor closes it. None
            if the configuration does not depend on the language. Whether the engine has such a
            voice shows when it speaks.
    """

    id: str
    visit: str
    room: str
    learner: Learner
    context: LearnerContext
    language: str
    settings: Settings_co
    session: "AgentSession[None]"
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    mode: Mode = Mode.FULL
    resumed: bool = False
    progress: Progress | None = None
    others: tuple[Learner, ...] = ()
    state: dict[str, JsonValue] = field(default_factory=dict)
    turns: tuple[Utterance, ...] = ()
    handover: Handover | None = None
    handback: Handback | None = None
    agent: "Agent | None" = None
    look: "Callable[[], Awaitable[VideoFrame | None]]" = field(default=_see_nothing, repr=False)
    expects: Callable[[str], bool] | None = field(default=None, repr=False)
    voice_in: "Callable[[str], TTS[Any] | None]" = field(default=lambda _: None, repr=False)
    _handlers: list[tuple[type[Event], _Handler]] = field(default_factory=list, repr=False)
    _ended: "asyncio.Future[str]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future(), repr=False
    )

    _calls: "asyncio.Queue[SpecialistCall]" = field(default_factory=asyncio.Queue, repr=False)
    _call: SpecialistCall | None = field(default=None, repr=False)
    _shown: "asyncio.Queue[ShownValue]" = field(default_factory=asyncio.Queue, repr=False)

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger with the learner bound; in a job, session and agent as well.

        Its fields are logged unfiltered: log names and counts, never what a learner said. Messages
        of other loggers and of exceptions are logged as in their source code, without values.
        """
        logger: structlog.stdlib.BoundLogger = structlog.get_logger(
            "loqua_host.tutor", user_id=self.learner.user_id
        )
        return logger

    def on(self, kind: type[_Kind], handler: Callable[[_Kind], Awaitable[None]]) -> None:
        """Call an `async def` for each event of a type from `loqua_host.events`.

        Events arrive in order, one at a time. Time limit: 5 s each. A failure is logged, and the
        lesson continues. `events.Event` matches all events.

        Raises:
            TypeError: If the handler is not an `async def`.
        """
        if not inspect.iscoroutinefunction(handler):
            raise TypeError(f"lesson.on({kind.__name__}, …) needs an async def, not {handler!r}")
        self._handlers.append((kind, handler))

    def handlers(self, event: Event) -> tuple[_Handler, ...]:
        """Return the handlers of an event, for the host to call."""
        return tuple(handler for kind, handler in self._handlers if isinstance(event, kind))

    def get_agent(self, kind: type[_Agent]) -> _Agent:
        """Return the agent that `create_agent` returned, with the tutor's own type.

        Args:
            kind: The agent's class.

        Raises:
            TypeError: If the agent has another class, or there is none because `create_agent`
                failed.
        """
        if not isinstance(self.agent, kind):
            there = f"one of class {type(self.agent).__name__}" if self.agent else "none"
            raise TypeError(f"the lesson has no agent of class {kind.__name__}: there is {there}")
        return self.agent

    def teaches(self, learner: Learner | None) -> bool:
        """Return whether a learner is the one whose lesson this is.

        With `audio_input: all`, turns of other learners arrive too and must not count.

        Args:
            learner: A turn's `learner`. None, as in a tutor's own tests, counts as the lesson's.
        """
        return learner is None or learner.user_id == self.learner.user_id

    def show(self, value: ShownValue) -> None:
        """Show a correction, a score or what is due to the learner's page.

        Returns at once. It is sent to this learner alone, as a text stream of LiveKit's; pages show
        it beside the words it is about. If it cannot be sent, the lesson continues without it.

        Args:
            value: A `Correction`, a `PronunciationScore` or `DueTopics`.

        Raises:
            TypeError: If it is none of them.
        """
        if not isinstance(value, ShownValue):
            raise TypeError(
                f"lesson.show needs a Correction, PronunciationScore or DueTopics, not {value!r}"
            )
        self._shown.put_nowait(value)

    def end(self, reason: str) -> None:
        """End the lesson, for a stable reason such as `goal_reached`.

        Returns at once. The first reason counts. Current speech is finished first.
        """
        if not self._ended.done():
            self._ended.set_result(reason)

    async def ended(self) -> str:
        """Wait until the lesson is ended, and return the reason."""
        return await asyncio.shield(self._ended)

    async def call_specialist(
        self, agent_name: str, *, focus: str = "", words: Iterable[str] = ()
    ) -> Handback:
        """Hand the learner over to a specialist, and wait until the specialist is done.

        The learner hears an announcement. The specialist receives `focus`, `words` and the last
        sentences as `lesson.handover`. Meanwhile, this tutor is muted. It has the floor again when
        this returns, after 10 s if the specialist does not join, and should say a sentence then.
        This takes as long as the specialist's lesson: await it in a task of the agent, not in a
        hook.

        Only the automatic tutor can call. A specialist that needs another one says so in its
        report, and the automatic tutor calls that one.

        Args:
            agent_name: The specialist's agent name.
            focus: What to work on, such as a grammar topic (`present_tense`), at most 300
                characters.
            words: Words to practise, at most 20.

        Raises:
            HandoffError: If there is no such specialist, a call is in progress, or this tutor is
                itself a specialist.
            ValueError: If focus or words are too long.
        """
        if self._call is not None and not self._call.answer.done():
            raise HandoffError("a call to a specialist is in progress: await it first")
        answer: asyncio.Future[Handback] = asyncio.get_running_loop().create_future()
        request = HandoffRequest(focus=focus, words=tuple(words))
        self._call = SpecialistCall(agent_name, request, answer)
        self._calls.put_nowait(self._call)
        return await asyncio.shield(answer)

    async def next_call(self) -> SpecialistCall:
        """Wait until the tutor calls a specialist; for the runner of the lesson."""
        return await self._calls.get()

    async def next_shown(self) -> ShownValue:
        """Wait until the tutor shows something; for the runner of the lesson."""
        return await self._shown.get()

    def take_shown(self) -> Iterator[ShownValue]:
        """Yield what the tutor has shown and the lesson's runner has not sent yet."""
        while not self._shown.empty():
            yield self._shown.get_nowait()


class _Job:
    """The lesson of this process: each job is a process with one lesson."""

    lesson: Lesson | None = None


def current_lesson() -> Lesson:
    """Return this job's lesson, for code that no hook passes it to.

    Constructors of agents and function tools can use it, for example.

    Raises:
        RuntimeError: If no hook of a lesson has been called yet.
    """
    if _Job.lesson is None:
        raise RuntimeError("there is no lesson yet; call this during a lesson, not at import")
    return _Job.lesson


def teach(lesson: Lesson | None) -> None:
    """Set the lesson that `current_lesson` returns; for the runner."""
    _Job.lesson = lesson
