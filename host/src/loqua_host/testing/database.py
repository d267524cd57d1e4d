"""A ledger's database in memory."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from loqua_host.records.database import DatabaseConnection
from loqua_host.records.sqlite import SqliteDatabase

__all__ = ["MemoryDatabase", "MemoryWriter"]

T = TypeVar("T")


class MemoryDatabase(SqliteDatabase):
    """A ledger's database in memory, with a clock of its own."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(Path(":memory:"))
        self._connect()
        self._migrate()
        self.raw.create_function("unix_now", 0, now)


class MemoryWriter:
    """A writer of a ledger in memory, without a thread."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    async def write(self, work: Callable[[DatabaseConnection], T]) -> T:
        """Run work in a transaction."""
        await asyncio.sleep(0)
        with self._database.transaction() as connection:
            return work(connection)

    write_with_retry = write
