"""Single flight: callers who want the same thing at the same time share one fetch."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, Generic, TypeVar

__all__ = ["SingleFlight", "stop"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


async def stop(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and return when they have ended."""
    ending = set(tasks)
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending)


class SingleFlight(Generic[K, V]):
    """Fetches under way, by key. A fetch outlives the caller who began it, until `aclose`.

    No task group, because a fetch that fails concerns those who wait for it and nobody else.
    """

    def __init__(self) -> None:
        self._tasks: dict[K, asyncio.Task[V]] = {}

    async def join(self, key: K, fetch: Callable[[], Coroutine[Any, Any, V]]) -> V:
        """Return the result of the fetch under way for that key, or of a new one."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(fetch())
            task.add_done_callback(lambda done: self._landed(key, done))
        # Not shield: Python 3.14 logs failures of what it shields once its caller has gone.
        await asyncio.wait((task,))
        return task.result()

    async def aclose(self) -> None:
        """End all fetches."""
        await stop(self._tasks.values())

    def _landed(self, key: K, task: asyncio.Task[V]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # marks it as retrieved, even if every caller has gone
