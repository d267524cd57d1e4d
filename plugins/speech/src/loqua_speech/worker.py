"""The one thread in which a model runs, and its queue."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from loqua_speech.errors import BusyError

__all__ = ["ModelWorker"]

P = ParamSpec("P")
T = TypeVar("T")


class ModelWorker:
    """Run a model for all lessons, one call at a time, in order of arrival.

    Args:
        name: The name of the thread.
        backlog: How many requests may be in the queue, the current one included.
    """

    def __init__(self, name: str, backlog: int) -> None:
        self._backlog = backlog
        self._requests = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def requests(self) -> int:
        """The number of requests that are served or wait."""
        return self._requests

    @contextmanager
    def admit(self, what: str) -> Iterator[None]:
        """Count a request for as long as the block runs.

        Args:
            what: What waits, for the error: "turns wait for recognition".

        Raises:
            BusyError: The queue is full.
        """
        if self._requests >= self._backlog:
            raise BusyError(f"{self._requests} {what}: send this again in a moment")
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a call returns, made in the thread after those before it.

        Cancelling takes it out of the queue.
        """
        work = self._thread.submit(call, *args, **kwargs)
        return await asyncio.wrap_future(work)
