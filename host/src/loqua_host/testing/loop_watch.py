"""Detection of calls that block the event loop for shorter than a job's watchdog allows."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

from loqua_host.registry.author import Author
from loqua_host.system.processor import seconds_served

__all__ = ["BLOCKED_SECONDS", "BlockingCall", "LoopWatch"]

BLOCKED_SECONDS: Final = 0.1
"""Seconds from which a call counts as blocking: a learner's audio comes every 20 ms."""

POLL_SECONDS: Final = 0.02

STACK_SIGNAL: Final = signal.SIGUSR2
"""The signal whose handler records the main thread's stack.

Walking the stack of a running thread from outside sometimes crashes Python (seen in 3.11.7).
"""


@dataclass(frozen=True, slots=True)
class BlockingCall:
    """A line of a tutor's code that blocked the event loop.

    Attributes:
        callback: The function that the host or LiveKit called.
        at: File and line of the tutor's innermost function.
        seconds: For how long, at least.
    """

    callback: str
    at: str
    seconds: float


class LoopWatch:
    """Record the main thread's stack while its event loop is blocked.

    Args:
        author: Recognises the tutor's code.
        turns: Returns how often the loop has turned.

    Attributes:
        found: The longest call of each place.
    """

    def __init__(self, author: Author, turns: Callable[[], int]) -> None:
        self._author = author
        self._turns = turns
        self._last = (-1, "")
        self._since = 0.0
        self.found: dict[str, BlockingCall] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the main thread, which is the current one, for the duration of a block."""
        over = threading.Event()
        before = signal.signal(STACK_SIGNAL, lambda _number, frame: self._look(frame))
        thread = threading.Thread(target=_signal_regularly, args=(threading.get_ident(), over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            signal.signal(STACK_SIGNAL, before)

    def _look(self, frame: FrameType | None) -> None:
        stack = self._author.stack(frame)
        now, where = self._turns(), _place(stack)
        if (now, where) != self._last:
            self._last, self._since = (now, where), seconds_served()
        elif where and (seconds := seconds_served() - self._since) >= BLOCKED_SECONDS:
            callback = stack[0].f_code.co_qualname
            self.found[where] = BlockingCall(callback, where, seconds)


def _signal_regularly(main: int, over: threading.Event) -> None:
    while not over.wait(POLL_SECONDS):
        signal.pthread_kill(main, STACK_SIGNAL)


def _place(stack: list[FrameType]) -> str:
    """Return file and line of the innermost frame of the author's top-level package."""
    package = stack[0].f_globals.get("__name__", "").partition(".")[0] if stack else ""
    own = [one for one in stack if one.f_globals.get("__name__", "").partition(".")[0] == package]
    return f"{Path(own[-1].f_code.co_filename).name}:{own[-1].f_lineno}" if own else ""
