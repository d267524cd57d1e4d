"""The one thread that uses the ledger's database."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeVar

import structlog
from opentelemetry import trace

from loqua_host.errors import DecryptionError, LedgerError

from .database import Database, DatabaseConnection

__all__ = ["Writer"]

T = TypeVar("T")

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")


MAX_BATCH = 64
"""Work items at most that share a transaction, and with it the wait for the disk."""


class _WorkItem(NamedTuple):
    """A piece of work, and its result."""

    work: Callable[[DatabaseConnection], Any]
    done: Future[Any]


class Writer:
    """Runs each work item whole or not at all, one after the other, in a thread of its own.

    Items that wait while the thread is busy then share one transaction; if that fails, each is run
    in its own, so that none fails because of another. That is safe because a failed transaction
    left nothing, and a work item has no effects but its queries: it may run more than once. A
    caller gets the result only after the commit.

    Attributes:
        busy_seconds: How long the database has been in use.
        failures: How often work could not be done because of the database.
    """

    def __init__(self, database: Database, thread: Executor, retry_every: float) -> None:
        self.database = database
        self._thread = thread
        self._retry_every = retry_every
        self._waiting: deque[_WorkItem] = deque()
        self.busy_seconds = 0.0
        self.failures = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, database: Database, retry_every: float) -> AsyncIterator["Writer"]:
        """Open the database, and close it with the block.

        Raises:
            LedgerError: If it cannot be opened.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="ledger") as thread:
            writer = cls(database, thread, retry_every)
            try:
                await writer.run_in_thread(database.open)
                yield writer
            finally:
                await writer.run_in_thread(database.close)

    async def write(self, work: Callable[[DatabaseConnection], T]) -> T:
        """Run the work in a transaction, also if the caller is cancelled meanwhile.

        Raises:
            LedgerError: If it cannot be done now; then nothing of it is.
        """
        item = _WorkItem(work, Future())
        with tracer.start_as_current_span(f"ledger {_method(work)}", record_exception=False):
            self._waiting.append(item)
            self._thread.submit(self._run_waiting)
            result: T = await asyncio.shield(asyncio.wrap_future(item.done))
            return result

    def _run_waiting(self) -> None:
        """Run what waits; an earlier call may have done so already."""
        if items := [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]:
            self._run(items)

    def _run(self, items: Sequence[_WorkItem]) -> None:
        try:
            with self._timed(), self.database.transaction() as connection:
                results = [item.work(connection) for item in items]
        except BaseException as error:  # noqa: BLE001  # who asked for it gets it, as of any executor
            if len(items) == 1:
                self.failures += isinstance(error, LedgerError) and not isinstance(
                    error, DecryptionError
                )
                items[0].done.set_exception(error)
                return
            for item in items:
                self._run([item])
        else:
            for item, result in zip(items, results, strict=True):
                item.done.set_result(result)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Add up the time of a block, before anybody gets its result."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.busy_seconds += time.monotonic() - begun

    async def write_with_retry(self, work: Callable[[DatabaseConnection], T]) -> T:
        """Run the work in a transaction, as soon as the database allows."""
        while True:
            try:
                return await self.write(work)
            except LedgerError as error:
                log.error("ledger.failed", why=str(error), again_in=self._retry_every)
            await asyncio.sleep(self._retry_every)

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Run something else in that thread."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._thread, work))


def _method(work: Callable[[DatabaseConnection], object]) -> str:
    """Return the name of the method that a function was written in."""
    work = work.func if isinstance(work, partial) else work
    return work.__qualname__.partition(".<locals>")[0].rpartition(".")[2].strip("_")
