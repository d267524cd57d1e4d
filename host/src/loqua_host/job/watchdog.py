"""Interruption of a tutor's code that blocks the job's event loop."""

import asyncio
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import structlog

from loqua_host.errors import BlockedError
from loqua_host.registry.author import Author
from loqua_host.system.processor import seconds_served

__all__ = ["BLOCKED_SECONDS", "Watchdog"]

log = structlog.get_logger()

BLOCKED_SECONDS: Final = 10.0
"""Seconds for which the tutor's code may block the event loop; the host kills the process after
15 s. The time that it waits for a processor does not count."""

AGAIN_SECONDS: Final = 2.0
"""Seconds before the next interruption of code that has caught the first."""

BEAT_SECONDS: Final = 1.0

HINT: Final = "await it, or call it by asyncio.to_thread"

MOST_FRAMES: Final = 30


class Watchdog:
    """Raise `BlockedError` in the tutor's code when it blocks the event loop for too long.

    A kernel timer's signal interrupts whatever the main thread waits for: `time.sleep`, sockets,
    locks, and regular expressions, which hold the GIL. If no signal can interrupt the code, a
    thread logs it before the host kills the process.

    Args:
        author: Recognises the tutor's code.
        limit: Seconds for which it may block the event loop.
        monotonic: A monotonic clock that no code can block, as the event loop's virtual one can be.
    """

    def __init__(
        self, author: Author, limit: float, monotonic: Callable[[], float] = seconds_served
    ) -> None:
        self._author = author
        self._limit = limit
        self._monotonic = monotonic
        self._beat_at = monotonic()
        self._reported = False
        self._next: asyncio.TimerHandle | None = None

    @contextmanager
    def guarding(self) -> Iterator[None]:
        """Guard the main thread's running loop for the duration of a block."""
        loop, over = asyncio.get_running_loop(), threading.Event()
        main = threading.get_ident()
        handler = signal.signal(signal.SIGALRM, self._on_alarm)
        timer = signal.getitimer(signal.ITIMER_REAL)
        thread = threading.Thread(target=self._look, args=(main, over), daemon=True)
        thread.start()
        self._beat(loop)  # last, so that the time covers the block only
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, *timer)
            if self._next is not None:
                self._next.cancel()
            over.set()
            signal.signal(signal.SIGALRM, handler)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        """Restart the timer every second."""
        self._beat_at, self._reported = self._monotonic(), False
        signal.setitimer(signal.ITIMER_REAL, self._limit, AGAIN_SECONDS)
        self._next = loop.call_later(BEAT_SECONDS, self._beat, loop)

    def _on_alarm(self, _signal: int, frame: FrameType | None) -> None:
        """Interrupt the tutor's code, and nothing else that blocks the loop."""
        # The timer's time goes on where the code only waits for a processor.
        is_over = self._monotonic() - self._beat_at > self._limit - BEAT_SECONDS
        if is_over and self._author.stack(frame):
            self._report(frame)
            raise BlockedError(f"kept the event loop for {self._limit:g} s; {HINT}")

    def _look(self, main: int, over: threading.Event) -> None:
        """Report, in a separate thread, blocking code that no signal can interrupt."""
        while not over.wait(BEAT_SECONDS):
            if self._monotonic() - self._beat_at > self._limit + AGAIN_SECONDS:
                self._report(sys._current_frames().get(main))  # noqa: SLF001  # as faulthandler does

    def _report(self, frame: FrameType | None) -> None:
        if self._reported or not (stack := self._author.stack(frame)):
            return
        self._reported = True
        steps = ((one, one.f_lineno) for one in stack[-MOST_FRAMES:])
        shown = traceback.StackSummary.extract(steps)
        log.error(
            "job.hung",
            hook=stack[0].f_code.co_qualname,
            seconds=round(self._monotonic() - self._beat_at, 1),
            hint=HINT,
            exception="".join(["Stack (most recent call last):\n", *shown.format()]),
        )
