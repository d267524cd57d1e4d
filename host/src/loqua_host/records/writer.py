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

from loqua_host.errors import LedgerError, SealError

from .database import Connection, Database

__all__ = ["Writer"]

T = TypeVar("T")

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")


TOGETHER = 64
"""Pieces of work at most that share a transaction, and with it the wait for the disk."""


class _Piece(NamedTuple):
    """A piece of work, and what came of it."""

    work: Callable[[Connection], Any]
    done: Future[Any]


class Writer:
    """Does each piece of work whole or not at all, one after the other, in a thread of its own.

    What waits while the thread is busy is then done in one transaction; if that fails, each piece
    in its own, so that nobody fails for another. Work may be done again after it failed.

    Attributes:
        busy_seconds: How long the database has been in use.
        failures: How often work could not be done because of the database.
    """

    def __init__(self, database: Database, thread: Executor, retry_every: float) -> None:
        self.database = database
        self._thread = thread
        self._retry_every = retry_every
        self._waiting: deque[_Piece] = deque()
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
                await writer.aside(database.open)
                yield writer
            finally:
                await writer.aside(database.close)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work in a transaction, also if the caller is cancelled meanwhile.

        Raises:
            LedgerError: If it cannot be done now; nothing of it is.
        """
        piece = _Piece(work, Future())
        with tracer.start_as_current_span(f"ledger {_method(work)}", record_exception=False):
            self._waiting.append(piece)
            self._thread.submit(self._work_off)
            result: T = await asyncio.shield(asyncio.wrap_future(piece.done))
            return result

    def _work_off(self) -> None:
        """Do what waits; an earlier call may have done so already."""
        if some := [self._waiting.popleft() for _ in range(min(len(self._waiting), TOGETHER))]:
            self._do(some)

    def _do(self, pieces: Sequence[_Piece]) -> None:
        try:
            with self._counted(), self.database.transaction() as connection:
                results = [piece.work(connection) for piece in pieces]
        except BaseException as error:  # noqa: BLE001  # who asked for it gets it, as of any executor
            if len(pieces) == 1:
                self.failures += isinstance(error, LedgerError) and not isinstance(error, SealError)
                pieces[0].done.set_exception(error)
                return
            for piece in pieces:
                self._do([piece])
        else:
            for piece, result in zip(pieces, results, strict=True):
                piece.done.set_result(result)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count the time of a block, before anybody learns what came of it."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.busy_seconds += time.monotonic() - begun

    async def insist(self, work: Callable[[Connection], T]) -> T:
        """Do the work in a transaction, as soon as the database lets it be done."""
        while True:
            try:
                return await self.write(work)
            except LedgerError as error:
                log.error("ledger.failed", why=str(error), again_in=self._retry_every)
            await asyncio.sleep(self._retry_every)

    async def aside(self, work: Callable[[], T]) -> T:
        """Do something else in that thread."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._thread, work))


def _method(work: Callable[[Connection], object]) -> str:
    """Give the name of the method that a function was written in."""
    work = work.func if isinstance(work, partial) else work
    return work.__qualname__.partition(".<locals>")[0].rpartition(".")[2].strip("_")
