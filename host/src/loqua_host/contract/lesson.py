"""A lesson: one learner with one tutor in one room; the object that hooks get."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import structlog
from pydantic import JsonValue

from loqua_host.errors import HandoffError
from loqua_host.events import Event

from .handoff import Handback, HandoffRequest, Handover, SpecialistCall, Utterance
from .learner import Learner, LearnerContext
from .records import Mode, Progress
from .tutor import Settings_co

if TYPE_CHECKING:
    from livekit.agents import Agent, AgentSession

__all__ = ["Lesson", "current_lesson", "teach"]

_Kind = TypeVar("_Kind", bound=Event)
_Agent = TypeVar("_Agent", bound="Agent")
_Handler = Callable[[Any], Awaitable[None]]


@dataclass(eq=False, kw_only=True)
class Lesson(Generic[Settings_co]):
    """One learner with one tutor in one room, from welcome to record.

    `Lesson[MySettings]` is a lesson of the tutor that declares `Tutor(settings=MySettings)`; a
    tutor without settings writes `Lesson`. Lives in the job process and holds no secret of the
    host.

    Attributes:
        id: The lesson's own id, unique in the ledger.
        visit: The learner's visit to the room, which may see several lessons.
        room: The LiveKit room's name.
        learner: Who is taught, as the host verified it.
        context: What the API remembers of the learner; empty in basic and mock mode, until the host
            can load it.
        language: The language taught, as ISO 639-1 (`es`).
        settings: The tutor's own settings, an instance of the model that it declares.
        secrets: The secrets that the tutor declared, by name.
        mode: How much of the API the lesson has behind it; the host keeps it current.
        resumed: Whether an earlier process taught the first part of this lesson.
        progress: What that part reached, by its last tick; None in a new lesson.
        others: Identified learners who are in the room besides; the host keeps it current.
        state: The tutor's own notes, kept after each turn and with each tick, and given back on
            resuming. Values are JSON; all of it together stays under 16 kB. What is not is logged
            as `lesson.state_refused`, and the notes before stay kept.
        turns: The last that was said in the part before, oldest first, when the lesson is resumed;
            the session and an agent without a conversation of its own have it, too.
        handover: What the tutor that called for this lesson handed over; None if none did.
        session: LiveKit's voice session, started after `create_agent` returns.
        agent: What `create_agent` returned; `get_agent` returns it as the class that it is of.
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
    agent: "Agent | None" = None
    _handlers: list[tuple[type[Event], _Handler]] = field(default_factory=list, repr=False)
    _ended: "asyncio.Future[str]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future(), repr=False
    )

    _calls: "asyncio.Queue[SpecialistCall]" = field(default_factory=asyncio.Queue, repr=False)
    _call: SpecialistCall | None = field(default=None, repr=False)

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger with the learner bound; in a job, session and agent as well.

        What it is given is logged as it is, so give it names and counts, never what a learner said.
        Of other loggers and of exceptions, logs show what their source code says and no value.
        """
        logger: structlog.stdlib.BoundLogger = structlog.get_logger(
            "loqua_host.tutor", user_id=self.learner.user_id
        )
        return logger

    def on(self, kind: type[_Kind], handler: Callable[[_Kind], Awaitable[None]]) -> None:
        """Call an `async def` with each event of a kind from `loqua_host.events`.

        Events come in their order, one at a time, with 5 s for each; a failure is logged and
        the lesson goes on. `events.Event` stands for all of them.

        Raises:
            TypeError: If the handler is no `async def`.
        """
        if not inspect.iscoroutinefunction(handler):
            raise TypeError(f"lesson.on({kind.__name__}, …) needs an async def, not {handler!r}")
        self._handlers.append((kind, handler))

    def handlers(self, event: Event) -> tuple[_Handler, ...]:
        """Return the handlers that hear of an event, which the host calls."""
        return tuple(handler for kind, handler in self._handlers if isinstance(event, kind))

    def get_agent(self, kind: type[_Agent]) -> _Agent:
        """Return what `create_agent` returned, as an agent of the tutor's own class.

        Args:
            kind: The class.

        Raises:
            TypeError: If it is of another class, or there is none: `create_agent` has failed.
        """
        if not isinstance(self.agent, kind):
            there = f"one of class {type(self.agent).__name__}" if self.agent else "none"
            raise TypeError(f"the lesson has no agent of class {kind.__name__}: there is {there}")
        return self.agent

    def teaches(self, learner: Learner | None) -> bool:
        """Return whether what a learner says counts: whether the lesson is theirs.

        With `audio_input: all` others speak, too, and the record is not about them.

        Args:
            learner: A turn's `learner`; None, as outside of a lesson, is taken for its own.
        """
        return learner is None or learner.user_id == self.learner.user_id

    def end(self, reason: str) -> None:
        """Ask for the lesson to end, for a stable reason such as `goal_reached`.

        Returns at once; the first reason counts. The learner hears out what is being said.
        """
        if not self._ended.done():
            self._ended.set_result(reason)

    async def ended(self) -> str:
        """Wait until somebody ends the lesson, and get the reason."""
        return await asyncio.shield(self._ended)

    async def call_specialist(
        self, agent_name: str, *, focus: str = "", words: Iterable[str] = ()
    ) -> Handback:
        """Hand the learner over to a specialist, and get them back when it is done.

        The learner hears an announcement; the specialist gets `focus`, `words` and the last
        sentences as `lesson.handover`. While it is there this tutor neither hears nor is heard.
        It has the floor again when this returns, after 10 s if the specialist does not come:
        say a sentence then. Takes as long as the specialist's lesson, so that a hook does not
        wait for it, but a task of the agent's does.

        The automatic tutor alone calls: a specialist that needs another says so in its report, and
        the tutor that has the learner back calls that one.

        Args:
            agent_name: The name that the specialist is dispatched by.
            focus: What to work on, such as a grammar topic (`present_tense`); 300 characters.
            words: Words to practise, 20 at most.

        Raises:
            HandoffError: If there is no such specialist, one is on its way already, or this tutor
                is a specialist itself.
            ValueError: If focus or words are too long.
        """
        if self._call is not None and not self._call.answer.done():
            raise HandoffError("a specialist is called already: await that call first")
        answer: asyncio.Future[Handback] = asyncio.get_running_loop().create_future()
        wish = HandoffRequest(focus=focus, words=tuple(words))
        self._call = SpecialistCall(agent_name, wish, answer)
        self._calls.put_nowait(self._call)
        return await asyncio.shield(answer)

    async def next_call(self) -> SpecialistCall:
        """Wait until the tutor calls for a specialist; for who runs the lesson."""
        return await self._calls.get()


class _Job:
    """What this process teaches: a job is a process of its own, with one lesson."""

    lesson: Lesson | None = None


def current_lesson() -> Lesson:
    """Return the lesson that this job teaches, for code that no hook hands it to.

    So an agent knows its learner anywhere, from its constructor on, and so do its function tools.

    Raises:
        RuntimeError: If there is none: no hook of a lesson has been called yet.
    """
    if _Job.lesson is None:
        raise RuntimeError("no lesson is taught here; call this in a lesson, not at import")
    return _Job.lesson


def teach(lesson: Lesson | None) -> None:
    """Make `current_lesson` return this lesson; for the runner."""
    _Job.lesson = lesson
