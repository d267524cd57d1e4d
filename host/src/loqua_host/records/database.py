"""The ledger's database: what it does for the ledger, and which one the settings name."""

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
        """How many rows were changed."""

    def fetchone(self) -> Row | None:
        """Return the next row."""

    def fetchall(self) -> Sequence[Row]:
        """Return all rows that are left."""


class DatabaseConnection(Protocol):
    """A transaction under way."""

    def execute(self, query: str, values: Mapping[str, object] = NO_VALUES) -> Cursor:
        """Run one query, a text as in queries.py."""


class Database(Protocol):
    """A database that holds a ledger; one thread uses it at a time.

    Whatever goes wrong with it raises a LedgerError that names the setting and what to do.
    """

    def open(self) -> None:
        """Connect as a host; make or migrate the ledger if need be."""

    def open_existing(self) -> None:
        """Connect beside the hosts, to a ledger that is there and of this version."""

    def transaction(self) -> AbstractContextManager[DatabaseConnection]:
        """Return a transaction: on disk when the block ends, undone if the block raises."""

    def erase_deleted(self) -> None:
        """Remove what was deleted from the database's files, too."""

    def close(self) -> None:
        """Disconnect."""


def database_at(path: Path, url: str | None = None) -> Database:
    """Return the database of a URL, or without one that of a path; it is not opened yet.

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
