"""Virtual time: an event loop that jumps to the next timer instead of waiting for it."""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, TypeVar, TypeVarTuple

__all__ = ["EPOCH", "VirtualClock", "VirtualLoop", "outside", "run_virtually"]

EPOCH: Final = 1_800_000_000.0
"""The wall time, in unix seconds, when a loop is made."""

STUCK_SECONDS: Final = 5.0
"""Real seconds to wait for another thread when every task waits and no timer runs."""

SPINNING_TURNS: Final = 10_000
"""Iterations of a loop without a pause, after which each takes time, as in reality."""

SPIN_SECONDS: Final = 0.001

SLOWER: Final = 10.0
"""Real seconds per virtual one while a task waits for another process, which may be slow."""

CANCEL_SECONDS: Final = 10.0
"""Virtual seconds for cancelled tasks to end."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class JumpingSelector(selectors.SelectSelector):
    """A selector that advances virtual time to the next timer if nothing else happens.

    Attributes:
        seconds: The virtual time.
        working: How many functions run in other threads. Meanwhile, time stands still.
        outside: How many tasks wait for another process. Meanwhile, time is slow.
        turns: How often the loop has looked for events.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.working = 0
        self.outside = 0
        self.turns = 0
        self._spinning = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Look for events; without any, move time to the next timer."""
        self.turns += 1
        if timeout is None:
            return self._await_thread()
        if self.outside and timeout > 0:
            return self._await_process(timeout)
        if self.working and timeout > 0:
            return super().select(STUCK_SECONDS)
        self._spinning = 0 if timeout else self._spinning + 1
        events = super().select(0)
        if not events:
            self.seconds += timeout if self._spinning < SPINNING_TURNS else SPIN_SECONDS
        return events

    def _await_process(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        events = super().select(timeout * SLOWER)
        passed = (time.monotonic() - began) / SLOWER
        self.seconds += min(timeout, passed) if events else timeout
        return events

    def _await_thread(self) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(STUCK_SECONDS)
        if not (events or self.working or self.outside):
            raise RuntimeError("every task waits and no timer runs: the test would hang")
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in which timers take no real time.

    Time stands still while a function runs in another thread, as by `asyncio.to_thread`, and is
    slower than real time in an `outside` block. It does not stand still for the network: whoever
    waits for a socket with a timeout gets the timeout.
    """

    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._jumping.seconds

    @property
    def turns(self) -> int:
        """The number of polls for events, which grows unless a callback blocks the loop."""
        return self._jumping.turns

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a function in another thread, and stop the time until it returns."""
        running: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self._jumping.working += 1
        running.add_done_callback(self._on_returned)
        return running

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Slow down time for the duration of a block, which waits for another process."""
        self._jumping.outside += 1
        try:
            yield
        finally:
            self._jumping.outside -= 1

    async def shutdown_default_executor(self, *timeout: float) -> None:
        """Wait in real time for the threads to end, up to a timeout from Python 3.12 on."""
        self._jumping.working += 1
        try:
            await super().shutdown_default_executor(*timeout)
        finally:
            self._jumping.working -= 1

    def _on_returned(self, _: "asyncio.Future[Any]") -> None:
        self._jumping.working -= 1


def outside() -> AbstractContextManager[None]:
    """Return a block in which the running loop waits for another process."""
    loop = asyncio.get_running_loop()
    return loop.outside() if isinstance(loop, VirtualLoop) else nullcontext()


def run_virtually(
    main: Coroutine[Any, Any, T], make_loop: Callable[[], VirtualLoop] = VirtualLoop
) -> tuple[T | BaseException, frozenset["asyncio.Task[Any]"]]:
    """Run a coroutine in a loop of its own, and end what it leaves.

    `asyncio.run` waits forever for a task that keeps running after it was cancelled.

    Args:
        main: The coroutine.
        make_loop: Makes the loop.

    Returns:
        What it returns or raises, and the tasks that go on after they were cancelled.
    """
    loop = make_loop()
    try:
        [outcome], left = loop.run_until_complete(_run_and_cancel(main))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    return outcome, left


async def _run_and_cancel(
    main: Coroutine[Any, Any, T],
) -> tuple[list[T | BaseException], frozenset["asyncio.Task[Any]"]]:
    outcome = [*await asyncio.gather(main, return_exceptions=True)]
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        _, tasks = await asyncio.wait(tasks, timeout=CANCEL_SECONDS)
    return outcome, frozenset(tasks)


class VirtualClock:
    """A clock on virtual time; `skew` shifts the wall clock."""

    def __init__(self, skew: float = 0.0) -> None:
        self.skew = skew

    def monotonic(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        """Return the wall time this machine believes in."""
        return EPOCH + self.monotonic() + self.skew

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(seconds)
