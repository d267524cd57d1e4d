"""Background tasks that end with a block."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, Never, TypeVar

from loqua_host.observability.faults import log_fault

__all__ = ["background", "both", "first_of", "forever", "supervised", "uncancelled", "within"]

T = TypeVar("T")
U = TypeVar("U")

LONGEST_PAUSE = 30.0
"""Seconds between two attempts at most; a task that ran for longer begins with the first again."""


class _BlockEndedError(Exception):
    """Raised to make a task group cancel its remaining tasks."""


def _end_block() -> Never:
    raise _BlockEndedError


@asynccontextmanager
async def background() -> AsyncIterator[asyncio.TaskGroup]:
    """Yield a task group whose tasks are cancelled when the block ends.

    A task that fails ends the block, as in any task group.
    """
    async with _cancelled_at_its_end(asyncio.TaskGroup()) as tasks:
        yield tasks


@asynccontextmanager
async def supervised() -> AsyncIterator[asyncio.TaskGroup]:
    """Yield a task group whose tasks are cancelled when the block ends, and fail alone.

    A task that fails is logged as `error.caught`; the block and the other tasks go on.
    """
    async with _cancelled_at_its_end(_Supervised()) as tasks:
        yield tasks


@asynccontextmanager
async def _cancelled_at_its_end(group: asyncio.TaskGroup) -> AsyncIterator[asyncio.TaskGroup]:
    try:
        async with group as tasks:
            yield tasks
            _end_block()
    except* _BlockEndedError:
        pass


class _Supervised(asyncio.TaskGroup):
    """A task group that survives exceptions of its tasks."""

    def create_task(  # type: ignore[override]  # nobody here has a generator
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Start a task; its result is None if it fails."""
        logged: Coroutine[Any, Any, Any] = _logged(coro)
        task = super().create_task(logged, name=name, context=context)
        # if cancelled before it began, it would warn
        task.add_done_callback(lambda _task: coro.close())
        return task


async def _logged(coroutine: Coroutine[Any, Any, T]) -> T | None:
    try:
        return await coroutine
    except Exception as error:  # noqa: BLE001  # one task's fault must not end all others
        log_fault(_name(coroutine), error)
        return None


async def both(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Await two at the same time; if one fails, raise that once the other has ended, too."""
    first, second = await asyncio.gather(one, other, return_exceptions=True)
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second


async def first_of(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    async with background() as waiting:
        tasks = [waiting.create_task(event.wait()) for event in events]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def forever(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run work until it is cancelled or returns, and restart it after each failure.

    A failure is logged as `error.caught`; the pause after it grows with each.
    """
    loop, pause = asyncio.get_running_loop(), 0.5
    while True:
        running, began = run(), loop.time()
        try:
            return await running
        except Exception as error:  # noqa: BLE001  # what goes on for good outlives any fault
            pause = 1.0 if loop.time() - began > LONGEST_PAUSE else min(2 * pause, LONGEST_PAUSE)
            log_fault(_name(running), error, again_in=pause)
        await asyncio.sleep(pause)


async def uncancelled(work: Coroutine[Any, Any, T]) -> T:
    """Await what must not be cancelled midway; a cancellation is raised once it has ended.

    For work that bounds its own time. What it raises after a cancellation is dropped.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is None:
        return task.result()
    _forget(task)
    raise cancelled


async def within(seconds: float, work: Coroutine[Any, Any, object]) -> bool:
    """Await work for so long at most; False if it has not ended by then.

    It is cancelled and left to itself, whatever it makes of that: `asyncio.timeout` would wait on
    for what swallows a cancellation.
    """
    task = asyncio.create_task(work)
    _left.add(task)
    task.add_done_callback(_forget)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        task.cancel()
    if task.done():
        task.result()
        return True
    return False


_left: set[asyncio.Task[Any]] = set()
"""Tasks that may outlive their awaiter, since asyncio itself holds no reference to them."""


def _forget(task: asyncio.Task[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()  # or asyncio says that nobody asked for it


def _name(coroutine: Coroutine[Any, Any, Any]) -> str:
    return getattr(coroutine, "__qualname__", type(coroutine).__name__)
