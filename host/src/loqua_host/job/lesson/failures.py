"""Failures of the tutor's own code outside its hooks: seen, counted, and answered to the learner.

An agent's callbacks, function tools, handlers of the session's events and tasks are called by
LiveKit or asyncio, which catch what they raise and log it. So their log is where they are seen,
whichever callback a release of LiveKit adds.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import structlog
from livekit import agents
from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    APIError,
    ConversationItemAddedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import ChatMessage

from loqua_host import job
from loqua_host.registry.author import Author, Failure

__all__ = ["FailureWatch", "Failures", "log_failure"]

log = structlog.get_logger()

CATCHERS: Final = tuple(
    str(Path(one).parent) + os.sep for one in (agents.__path__[0], asyncio.__file__, job.__file__)
)
"""Where the code is that calls the tutor's and catches what it raises; it logs as whom it likes."""

UNCLAIMED_SECONDS: Final = 1.0
"""A task that failed so long ago, and that nobody asked for its outcome since."""

MOST_REMEMBERED: Final = 32
"""Errors that are known when they are logged again on their way up."""

LOOK_SECONDS: Final = 1.5
"""How often is looked whether a failure left the learner in silence."""

DEAFENING: Final = frozenset({"stt_node"})
"""Callbacks after whose failure LiveKit hears nothing more (voice/audio_recognition.py)."""


class FailureWatch(logging.Filter):
    """Finds errors from the tutor's code among what is caught by others, and reports each once.

    Args:
        author: Knows the tutor's code.
        report: Takes each failure, on the event loop.
    """

    def __init__(self, author: Author, report: Callable[[Failure], None]) -> None:
        super().__init__()
        self._author = author
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._known: deque[BaseException] = deque(maxlen=MOST_REMEMBERED)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for the length of a block; what is found is kept from the log, being told there."""
        handlers = list(logging.getLogger().handlers)
        before = self._loop.get_task_factory()
        self._loop.set_task_factory(self._create_task)
        for handler in handlers:
            handler.addFilter(self)
        try:
            yield
        finally:
            for handler in handlers:
                handler.removeFilter(self)
            self._loop.set_task_factory(before)

    def filter(self, record: logging.LogRecord) -> bool:
        """Hold a record back if it tells of a failure of the tutor's."""
        error = record.exc_info[1] if record.exc_info else None
        caught = record.levelno >= logging.WARNING and record.pathname.startswith(CATCHERS)
        return error is None or not caught or not self._take(error)

    def _take(self, error: BaseException) -> bool:
        """Report an error of the tutor's, at its first time; say whether it is one."""
        if any(error is known for known in self._known):
            return True
        # Errors of engines pass an agent's nodes, too.
        if isinstance(error, APIError) or self._author.failure(error) is None:
            return False
        self._known.append(error)
        # Not here: whoever logs it is still at work on it, perhaps in another thread.
        self._loop.call_soon_threadsafe(self._tell, error)
        return True

    def _tell(self, error: BaseException) -> None:
        if failure := self._author.failure(error):
            self._author.cut(error)
            self._report(failure)

    def _create_task(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any
    ) -> "asyncio.Task[Any]":
        task = asyncio.Task(coro, loop=loop, **options)
        task.add_done_callback(self._look_later)
        return task

    def _look_later(self, task: "asyncio.Task[Any]") -> None:
        if _is_unclaimed(task):
            self._loop.call_later(UNCLAIMED_SECONDS, self._look, task)

    def _look(self, task: "asyncio.Task[Any]") -> None:
        """Report a task that failed unnoticed; one that is kept would itself never say so."""
        error = task._exception if _is_unclaimed(task) else None  # noqa: SLF001  # `exception()` would claim it
        if error is not None and self._take(error):
            task.exception()


def _is_unclaimed(task: "asyncio.Task[Any]") -> bool:
    return bool(task._log_traceback)  # noqa: SLF001  # there is no public way


def log_failure(plugin: str, failure: Failure) -> None:
    """Log what failed in a plugin's code, and where."""
    log.error(
        "agent.failed",
        plugin=plugin,
        callback=failure.callback,
        at=failure.at,
        why=f"raised {type(failure.error).__name__}",
        exc_info=failure.error,
    )


class Failures:
    """Answers failures of the tutor's code: an apology in place of silence, in the end goodbye.

    Turns of the learner with a failure count, whatever fails in them, and one in which the tutor
    said something and nothing failed begins the count anew.

    Args:
        session: The voice session.
        most: Failed turns in a row after which the lesson is given up.
        report: Logs and counts a failure; see `log_failure`.
        apologise: Says that something went wrong, so that the learner may try again.
        give_up: Ends the lesson politely.
    """

    def __init__(
        self,
        session: "AgentSession[Any]",
        most: int,
        *,
        report: Callable[[Failure], None],
        apologise: Callable[[], None],
        give_up: Callable[[], None],
    ) -> None:
        self._session = session
        self._most = most
        self._report = report
        self._apologise = apologise
        self._give_up = give_up
        self._turns_failed = 0
        self._failed = self._spoke = False
        self._looking: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Follow the session from now on."""
        self._session.on("user_state_changed", self._on_learner)
        self._session.on("agent_state_changed", self._on_tutor)
        self._session.on("conversation_item_added", self._on_item)

    def unwatch(self) -> None:
        """Follow it no longer, and answer no more; failures are counted still."""
        self._session.off("user_state_changed", self._on_learner)
        self._session.off("agent_state_changed", self._on_tutor)
        self._session.off("conversation_item_added", self._on_item)
        self._stop_looking()
        self._most = 0

    def begin_turn(self) -> None:
        """Take what follows for the answer to something new that the learner says."""
        self._failed = False
        self._stop_looking()

    def on_failure(self, failure: Failure) -> None:
        """Report a failure and, unless the tutor speaks anyway, apologise to the learner."""
        self._report(failure)
        if self._failed or not self._most:
            return
        self._failed, self._spoke = True, False
        self._turns_failed += 1
        if self._turns_failed >= self._most or DEAFENING.intersection(failure.functions):
            self._give_up()
        else:
            self._look_later()

    def _look_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(LOOK_SECONDS, self._look)

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    def _look(self) -> None:
        """Apologise unless the tutor speaks all the same; one that thinks is waited for."""
        self._looking = None
        if self._session.agent_state == "thinking":
            self._look_later()
        elif not self._spoke and self._session.agent_state != "speaking":
            self._apologise()

    def _on_learner(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self.begin_turn()

    def _on_tutor(self, event: AgentStateChangedEvent) -> None:
        self._spoke = self._spoke or event.new_state == "speaking"

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if isinstance(item, ChatMessage) and item.role == "assistant" and not self._failed:
            self._turns_failed = 0
