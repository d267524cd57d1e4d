"""Calls of a tutor's hooks, each in its own task with a time limit."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import structlog
from livekit.agents import Agent
from opentelemetry import trace

from loqua_host.contract.lesson import Lesson
from loqua_host.contract.records import Ending, LessonReport, Progress, Tick
from loqua_host.errors import HookFailedError
from loqua_host.events import Event
from loqua_host.link.messages import Hook
from loqua_host.observability.redaction import describe
from loqua_host.settings.hooks import HookLimits
from loqua_host.settings.problems import printable

from .author import Author
from .loader import LoadedTutor
from .overrides import override_faults

__all__ = ["HookCaller"]

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")

_Returned = TypeVar("_Returned")

CANCEL_SECONDS: Final = 1.0
"""Seconds for a cancelled hook to end before it is abandoned."""

EVENT_SECONDS: Final = 5.0
"""The time limit of a tutor's event handler, in seconds."""


class Timed(Protocol):
    """The observer of hook durations."""

    def __call__(self, hook: Hook, seconds: float, /, *, failed: bool) -> None:
        """Observe a call."""


class Speech(Protocol):
    """Speech that is played or queued."""

    async def wait_for_playout(self) -> None:
        """Wait until it has been played or interrupted."""


class HookCaller:
    """Call the hooks of one tutor; a missing hook counts as returning None.

    Speech does not count towards a hook's limit, because a hook may await it, and a learner who
    speaks delays it.

    Args:
        loaded: The tutor.
        limits: The time limits of the hooks.
        timed: The observer of durations.
        speech: Returns the current speech.
        monotonic: A monotonic clock, in seconds. The default is real time, also in the testing kit:
            a hook that blocks takes no virtual time.

    Every method logs and raises `HookFailedError` if its hook raises, times out or returns a wrong
    type.

    Attributes:
        author: Recognises the tutor's code.
    """

    def __init__(
        self,
        loaded: LoadedTutor,
        limits: HookLimits,
        *,
        timed: Timed = lambda *_, **__: None,
        speech: Callable[[], Speech | None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loaded = loaded
        self._limits = limits
        self._timed = timed
        self._speech = speech
        self._monotonic = monotonic
        self._abandoned: set[asyncio.Task[Any]] = set()
        self.author = Author(loaded.packages)

    @property
    def source(self) -> str:
        """The plugin's name, for logs."""
        return self._loaded.source

    async def create_agent(self, lesson: Lesson) -> Agent:
        """Return the agent that speaks with the learner."""
        agent = await self._call("create_agent", Agent, lesson=lesson)
        if agent is None:
            raise self._failure("create_agent", "returned None, not a LiveKit Agent")
        if faults := list(override_faults(type(agent))):
            why = f"returned an agent with faults: {'; '.join(faults)}"
            raise self._failure("create_agent", why)
        self.author.include(type(agent))
        return agent

    async def on_user_ready(self, lesson: Lesson) -> None:
        """Call `on_user_ready`; its return value is ignored."""
        await self._call("on_user_ready", object, lesson=lesson)

    async def on_progress_tick(self, lesson: Lesson, tick: Tick) -> Progress | None:
        """Return the learner's progress since the lesson began."""
        return await self._call("on_progress_tick", Progress, lesson=lesson, tick=tick)

    async def on_session_end(self, lesson: Lesson, ending: Ending) -> LessonReport | None:
        """Return the tutor's report of the lesson."""
        return await self._call("on_session_end", LessonReport, lesson=lesson, ending=ending)

    async def call_handler(self, handler: Callable[[Event], Awaitable[None]], event: Event) -> None:
        """Call a handler with an event."""
        name = f"on({type(event).__name__})"
        returned = await self._within_limit(name, _hand(handler, event), EVENT_SECONDS)
        if isinstance(returned, _Raised):
            raise self._raised(name, returned.error) from returned.error

    async def _call(
        self, hook: Hook, expected: type[_Returned], **arguments: object
    ) -> _Returned | None:
        coroutines = getattr(self._loaded.manager.hook, hook)(**arguments)
        if not coroutines:
            return None
        begun, failed = self._monotonic(), True
        attributes = {"tutor": self._loaded.tutor.name, "hook": hook}
        try:
            with tracer.start_as_current_span(
                f"hook {hook}", attributes=attributes, record_exception=False
            ):
                returned = await self._sound(hook, expected, coroutines[0])
            failed = False
        finally:
            self._timed(hook, self._monotonic() - begun, failed=failed)
        return returned

    async def _sound(
        self, hook: str, expected: type[_Returned], coroutine: Awaitable[Any]
    ) -> _Returned | None:
        limit: float = getattr(self._limits, hook)
        returned = await self._within_limit(hook, coroutine, limit)
        if isinstance(returned, _Raised):
            raise self._raised(hook, returned.error) from returned.error
        if returned is not None and not isinstance(returned, expected):
            why = f"returned {type(returned).__name__}, not {expected.__name__}"
            raise self._failure(hook, why)
        return returned

    async def _within_limit(self, hook: str, coroutine: Awaitable[Any], limit: float) -> Any:
        task = asyncio.create_task(_outcome(coroutine), name=f"{self._loaded.source}.{hook}")
        try:
            done = await self._is_done(task, limit)
        finally:
            await self._let_go(task)
        if not done:
            raise self._failure(hook, f"took longer than {limit:g} s")
        if task.cancelled():
            raise self._failure(hook, "was cancelled from within")
        return task.result()

    async def _is_done(self, task: asyncio.Task[Any], limit: float) -> bool:
        """Wait for a hook, up to its limit without the time of speech."""
        while not (await asyncio.wait({task}, timeout=limit))[0]:
            if (speech := self._speech()) is None:
                return False
            said = asyncio.create_task(speech.wait_for_playout())
            try:
                await asyncio.wait({task, said}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                said.cancel()
        return True

    async def _let_go(self, task: asyncio.Task[Any]) -> None:
        if task.done():
            return
        task.cancel()
        await asyncio.wait({task}, timeout=CANCEL_SECONDS)
        if not task.done():
            self._abandoned.add(task)
            task.add_done_callback(self._abandoned.discard)
            log.error("hook.abandoned", task=task.get_name(), seconds=CANCEL_SECONDS)

    def _raised(self, hook: str, error: BaseException) -> HookFailedError:
        return self._failure(hook, printable(f"raised {describe(error)}"), error)

    def _failure(self, hook: str, why: str, error: BaseException | None = None) -> HookFailedError:
        failure = error and self.author.failure(error)
        log.error(
            "hook.failed",
            plugin=self._loaded.source,
            hook=hook,
            why=why,
            at=failure and failure.at,
            exc_info=error and self.author.cut(error),
            **_hint(error),
        )
        return HookFailedError(hook, f"plugin {self._loaded.source!r} {why}")


def _hint(error: BaseException | None) -> dict[str, str]:
    match error:
        case MemoryError():
            return {"hint": "use less memory, or raise limits.memory in the tutor's file"}
        case PermissionError():
            return {"hint": "if it is the sandbox, grant it below sandbox: in the tutor's file"}
        case _:
            return {}


@dataclass(frozen=True, slots=True)
class _Raised:
    """An exception of a hook, returned from the hook's task."""

    error: BaseException


async def _hand(handler: Callable[[Event], Awaitable[None]], event: Event) -> None:
    await handler(event)  # a handler without an argument also raises here


async def _outcome(coroutine: Awaitable[Any]) -> Any:
    try:
        return await coroutine
    # The only place that runs foreign code. It may raise anything; SystemExit would end the job.
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as said above
        return _Raised(error)
