"""The one thread that uses the ledger's database."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import structlog
from opentelemetry import trace

from loqua_host.errors import LedgerError

from .database import Connection, Database

__all__ = ["Writer"]

T = TypeVar("T")

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")


class Writer:
    """Does each piece of work in one transaction, one after the other, in a thread of its own.

    Attributes:
        busy_seconds: How long the database has been in use.
    """

    def __init__(self, database: Database, thread: Executor, retry_every: float) -> None:
        self.database = database
        self._thread = thread
        self._retry_every = retry_every
        self.busy_seconds = 0.0

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

        def transaction() -> T:
            begun = time.monotonic()
            try:
                with self.database.transaction() as connection:
                    return work(connection)
            finally:
                self.busy_seconds += time.monotonic() - begun

        with tracer.start_as_current_span(f"ledger {_method(work)}", record_exception=False):
            return await self.aside(transaction)

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
