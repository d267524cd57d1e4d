"""The only thread that uses the ledger's database."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
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
"""Maximum of work items that share a transaction, and so one wait for the disk."""

LATE_SECONDS = 2.0
"""Seconds after which a transaction takes long: usually it takes milliseconds."""


class _WorkItem(NamedTuple):
    """A function to run in a transaction, and the future of its result."""

    work: Callable[[DatabaseConnection], Any]
    done: asyncio.Future[Any]


class Writer:
    """Run work items atomically, one after another, in a separate thread.

    Items that wait while the thread is busy share the next transaction. If that fails, it is halved
    and each half runs by itself, down to single items, so that none fails because of another. This
    is safe because a failed transaction is rolled back and a work item has no effects other than
    its queries; it may run more than once. If a transaction cannot begin, all of its items fail at
    once, as the next attempt may take as long. A caller gets the result only after the commit.

    Attributes:
        busy_seconds: How long the database has been busy.
        failures: How often the database has failed.
    """

    def __init__(
        self,
        database: Database,
        thread: Executor,
        retry_every: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database = database
        self._monotonic = monotonic
        self._thread = thread
        self._retry_every = retry_every
        self._waiting: deque[_WorkItem] = deque()
        self._submitted = False
        self._reachable = True
        self.busy_seconds = 0.0
        self._busy_since: float | None = None
        self.failures = 0

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        database: Database,
        retry_every: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> AsyncIterator["Writer"]:
        """Open the database, and close it at the end of the block.

        Args:
            database: The database.
            retry_every: Seconds between attempts while it fails.
            monotonic: A monotonic clock that both threads read: real time by default.

        Raises:
            LedgerError: If it cannot be opened.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="ledger") as thread:
            writer = cls(database, thread, retry_every, monotonic)
            try:
                await writer.run_in_thread(database.open)
                yield writer
            finally:
                await writer.run_in_thread(database.close)

    @property
    def responsive(self) -> bool:
        """Whether the database was reached at the last attempt and does not take long now."""
        since = self._busy_since
        late = since is not None and self._monotonic() - since > LATE_SECONDS
        return self._reachable and not late

    async def write(self, work: Callable[[DatabaseConnection], T]) -> T:
        """Run work in a transaction, even if the caller is cancelled meanwhile.

        Raises:
            LedgerError: If the database fails; the transaction is then rolled back.
        """
        item = _WorkItem(work, asyncio.get_running_loop().create_future())
        # Not the current span, which has no children: to make it that takes a tenth of all work.
        span = tracer.start_span(f"ledger {_method(work)}")
        try:
            self._waiting.append(item)
            if not self._submitted:
                self._submitted = True
                self._thread.submit(self._run_waiting)
            result: T = await item.done
        except LedgerError:
            span.set_status(trace.StatusCode.ERROR)
            raise
        else:
            return result
        finally:
            span.end()

    def _run_waiting(self) -> None:
        """Run what waits, in the thread."""
        self._submitted = False  # First, so that later work schedules a run of its own.
        for _ in range(0, len(self._waiting), MAX_BATCH):
            count = min(len(self._waiting), MAX_BATCH)
            if items := [self._waiting.popleft() for _ in range(count)]:
                self._run(items)

    def _run(self, items: Sequence[_WorkItem]) -> None:
        begun = False
        try:
            with self._timed(), self.database.transaction() as connection:
                begun = self._reachable = True
                results = [item.work(connection) for item in items]
        except BaseException as error:  # noqa: BLE001  # who asked for it gets it, as of any executor
            self._reachable = begun
            if begun and len(items) > 1:
                half = len(items) // 2
                self._run(items[:half])
                self._run(items[half:])
            else:
                self._fail(items, error)
        else:
            _settle(items, results, asyncio.Future.set_result)

    def _fail(self, items: Sequence[_WorkItem], error: BaseException) -> None:
        unreachable = isinstance(error, LedgerError) and not isinstance(error, DecryptionError)
        self.failures += len(items) if unreachable else 0
        _settle(items, [error] * len(items), asyncio.Future.set_exception)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """Add the duration of a block to `busy_seconds`, before its results are set."""
        self._busy_since = begun = self._monotonic()
        try:
            yield
        finally:
            self._busy_since = None
            self.busy_seconds += self._monotonic() - begun

    async def write_with_retry(self, work: Callable[[DatabaseConnection], T]) -> T:
        """Run work in a transaction, with retries until the database works."""
        while True:
            try:
                return await self.write(work)
            except LedgerError as error:
                log.error("ledger.failed", why=str(error), again_in=self._retry_every)
            await asyncio.sleep(self._retry_every)

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Run other work in the same thread."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._thread, work))


def _settle(
    items: Sequence[_WorkItem],
    outcomes: Sequence[Any],
    settle: Callable[[asyncio.Future[Any], Any], None],
) -> None:
    """Settle the futures of all items in one turn of the event loop.

    To wake it for each of them would take as long as their work.
    """

    def settle_all() -> None:
        for item, outcome in zip(items, outcomes, strict=True):
            if not item.done.done():  # else its caller has been cancelled
                settle(item.done, outcome)

    items[0].done.get_loop().call_soon_threadsafe(settle_all)


def _method(work: Callable[[DatabaseConnection], object]) -> str:
    """Return the name of the method that defines a function."""
    work = work.func if isinstance(work, partial) else work
    return work.__qualname__.partition(".<locals>")[0].rpartition(".")[2].strip("_")
