"""Where the ledger is: a file, or the Postgres that several hosts share."""

from importlib import import_module
from pathlib import Path

from loqua_host.errors import LedgerError

from .database import Database
from .sqlite import SqliteDatabase

__all__ = ["database_at"]


def database_at(path: Path, url: str | None = None) -> Database:
    """Get the database of a URL, or without one that of a path; it is not opened yet.

    Raises:
        LedgerError: If the URL's client is not installed.
    """
    if not url:
        return SqliteDatabase(path)
    try:
        postgres = import_module("loqua_host.records.postgres")
    except ImportError as error:
        mend = "install loqua-host[postgres]"
        raise LedgerError(f"LEDGER_URL: needs a client ({error}); {mend}") from None
    database: Database = postgres.PostgresDatabase(url)
    return database
