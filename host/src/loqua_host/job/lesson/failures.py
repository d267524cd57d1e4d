"""Failures of the tutor's code outside its hooks: detection, counting, apology to the learner.

LiveKit or asyncio call an agent's callbacks, function tools, session event handlers and tasks,
catch their exceptions and log them. The host therefore detects failures in the log, which also
covers callbacks that a later release of LiveKit adds.
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
"""The packages that call the tutor's code and log its exceptions, under any logger."""

UNCLAIMED_SECONDS: Final = 1.0
"""Seconds after which the exception of a failed task counts as never retrieved."""

MOST_REMEMBERED: Final = 32
"""Maximum of remembered errors, which may be logged again by callers."""

POLL_SECONDS: Final = 1.5
"""Seconds between checks whether a failure has left the learner in silence."""

STT_NODES: Final = frozenset({"stt_node"})
"""Callbacks whose failure stops LiveKit's speech recognition (voice/audio_recognition.py)."""


class FailureWatch(logging.Filter):
    """Detect errors from the tutor's code in log records and tasks, and report each once.

    Args:
        author: Recognises the tutor's code.
        report: Called with each failure, on the event loop.
    """

    def __init__(self, author: Author, report: Callable[[Failure], None]) -> None:
        super().__init__()
        self._author = author
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._known: deque[BaseException] = deque(maxlen=MOST_REMEMBERED)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for the duration of a block. Reported records are removed from the log."""
        # A program without logging, such as an author's script, has only logging's last resort.
        handlers = [*logging.getLogger().handlers] or [*filter(None, [logging.lastResort])]
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
        """Drop a record of a failure in the tutor's code, after reporting it."""
        error = record.exc_info[1] if record.exc_info else None
        caught = record.levelno >= logging.WARNING and record.pathname.startswith(CATCHERS)
        return error is None or not caught or not self._take(error)

    def _take(self, error: BaseException) -> bool:
        """Report an error of the tutor's code, once; return whether it is one."""
        if any(error is known for known in self._known):
            return True
        # Errors of engines also pass through an agent's nodes, and are not the tutor's.
        if isinstance(error, APIError) or self._author.failure(error) is None:
            return False
        self._known.append(error)
        # Report later: the caller still handles the error, perhaps in another thread.
        self._loop.call_soon_threadsafe(self._forward, error)
        return True

    def _forward(self, error: BaseException) -> None:
        if failure := self._author.failure(error):
            self._author.cut(error)
            self._report(failure)

    def _create_task(
        self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any
    ) -> "asyncio.Task[Any]":
        task = asyncio.Task(coro, loop=loop, **options)
        task.add_done_callback(self._check_later)
        return task

    def _check_later(self, task: "asyncio.Task[Any]") -> None:
        if _is_unclaimed(task):
            self._loop.call_later(UNCLAIMED_SECONDS, self._check, task)

    def _check(self, task: "asyncio.Task[Any]") -> None:
        """Report a failed task whose exception nobody has retrieved."""
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
    """Respond to failures of the tutor's code: apologise, and in the end give the lesson up.

    A learner's turn with any failure counts as failed. A turn without a failure, in which the tutor
    spoke, resets the count.

    Args:
        session: The voice session.
        most: Consecutive failed turns after which the lesson is given up.
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
        self._check_timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Start to follow the session."""
        self._session.on("user_state_changed", self._on_learner)
        self._session.on("agent_state_changed", self._on_tutor)
        self._session.on("conversation_item_added", self._on_item)

    def unwatch(self) -> None:
        """Stop following it and apologising. Failures are still counted."""
        self._session.off("user_state_changed", self._on_learner)
        self._session.off("agent_state_changed", self._on_tutor)
        self._session.off("conversation_item_added", self._on_item)
        self._cancel_check()
        self._most = 0

    def begin_turn(self) -> None:
        """Start a new turn of the learner."""
        self._failed = False
        self._cancel_check()

    def on_failure(self, failure: Failure) -> None:
        """Report a failure and, unless the tutor speaks anyway, apologise to the learner."""
        self._report(failure)
        if self._failed or not self._most:
            return
        self._failed, self._spoke = True, False
        self._turns_failed += 1
        if self._turns_failed >= self._most or STT_NODES.intersection(failure.functions):
            self._give_up()
        else:
            self._check_later()

    def _check_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._check_timer = loop.call_later(POLL_SECONDS, self._check)

    def _cancel_check(self) -> None:
        if self._check_timer is not None:
            self._check_timer.cancel()
            self._check_timer = None

    def _check(self) -> None:
        """Apologise, unless the tutor speaks. Wait while it thinks."""
        self._check_timer = None
        if self._session.agent_state == "thinking":
            self._check_later()
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
