"""The interface of the ledger's database, and the choice of its implementation."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from loqua_host.errors import LedgerError

from .queries import NO_VALUES
from .sqlite import SqliteDatabase

__all__ = ["Cursor", "Database", "DatabaseConnection", "Row", "database_at"]

Row = Mapping[str, Any]
"""A row, by the names of its columns."""


class Cursor(Protocol):
    """The result of a query."""

    @property
    def rowcount(self) -> int:
        """The number of changed rows."""

    def fetchone(self) -> Row | None:
        """Return the next row."""

    def fetchall(self) -> Sequence[Row]:
        """Return all rows that are left."""


class DatabaseConnection(Protocol):
    """An open transaction."""

    def execute(self, query: str, values: Mapping[str, object] = NO_VALUES) -> Cursor:
        """Run one query, a text as in queries.py."""


class Database(Protocol):
    """A database with a ledger; one thread uses it at a time.

    Every failure raises a LedgerError that names the setting and what to do.
    """

    def open(self) -> None:
        """Connect as a host; create or migrate the ledger if needed."""

    def open_existing(self) -> None:
        """Connect beside the hosts, to an existing ledger of this version."""

    def transaction(self) -> AbstractContextManager[DatabaseConnection]:
        """Return a transaction, committed when the block ends and rolled back if it raises."""

    def erase_deleted(self) -> None:
        """Erase deleted data from the database's files."""

    def close(self) -> None:
        """Disconnect."""


def database_at(path: Path, url: str | None = None) -> Database:
    """Return the unopened Postgres database of a URL, or else the SQLite file at a path.

    Raises:
        LedgerError: If the URL's client is not installed.
    """
    if not url:
        return SqliteDatabase(path)
    try:
        postgres = import_module("loqua_host.records.postgres")
    except ImportError as error:
        hint = "install loqua-host[postgres]"
        raise LedgerError(f"LEDGER_URL: needs a client ({error}); {hint}") from None
    database: Database = postgres.PostgresDatabase(url)
    return database
