"""The ledger in a SQLite file, used by one host at a time."""

import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from loqua_host.errors import LedgerError

from .migrations import check_current, find_pending, load_migrations
from .queries import NO_VALUES, QUERIES

__all__ = ["SqliteDatabase", "lock_path"]

MIGRATIONS = load_migrations("sqlite")

HINTS = {
    "SQLITE_BUSY": "another process has locked it for a long time; stop that process",
    "SQLITE_CANTOPEN": "let the host's user write there, or set ledger.path elsewhere",
    "SQLITE_CORRUPT": "move the file aside and keep it: it may hold records not yet delivered",
    "SQLITE_ERROR": "set ledger.path to a ledger of this version, or to a file not there yet",
    "SQLITE_FULL": "free some disk space",
    "SQLITE_NOTADB": "set ledger.path to a ledger, or to a file that does not exist yet",
    "SQLITE_READONLY": "let the host's user write there, or set ledger.path elsewhere",
}
"""Hints, by the name of SQLite's error (https://sqlite.org/rescode.html)."""

ROW_LOCKS = re.compile(r"\s+FOR UPDATE( SKIP LOCKED)?")
"""SQLite has no row locks and needs none, because one writer at a time locks the database."""


class SqliteDatabase:
    """The file that `ledger.path` names, with WAL and `synchronous=FULL`, for one host."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Connect as the only host; end the leases of earlier ones.

        The lock beside the file excludes other hosts, also during migrations.
        """
        with self._named():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = lock_path(self._path, f"{self._place}: another host has it open")
            try:
                self._path.touch(mode=0o600)
                self._path.chmod(0o600)
                self._connect()
                self._migrate()
                self.execute(QUERIES["end_all_leases"])
            except BaseException:
                self.close()
                raise

    def open_existing(self) -> None:
        """Connect beside the host that uses the file."""
        with self._named():
            if not self._path.exists():
                raise LedgerError(f"{self._place}: is not there; run this where the host runs")
            self._connect()
            try:
                check_current(MIGRATIONS, self._version(), self._place)
            except BaseException:
                self.close()
                raise

    @contextmanager
    def transaction(self) -> Iterator["SqliteDatabase"]:
        """Return a transaction.

        `BEGIN IMMEDIATE` takes the write lock first, so that no other process changes what it reads
        before it ends.
        """
        with self._named():
            self.raw.execute("BEGIN IMMEDIATE")
            with self.raw:
                yield self

    def execute(self, query: str, values: Mapping[str, object] = NO_VALUES) -> sqlite3.Cursor:
        """Run one query, without `FOR UPDATE`: the transaction holds the only write lock."""
        return self.raw.execute(_without_row_locks(query), dict(values))

    def erase_deleted(self) -> None:
        """Checkpoint and truncate the write-ahead log, which contains deleted data."""
        with self._named():
            self.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file and release its lock."""
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def raw(self) -> sqlite3.Connection:
        """SQLite's own connection."""
        if self._database is None:
            raise LedgerError(f"{self._place}: is not open")
        return self._database

    @property
    def _place(self) -> str:
        return f"ledger.path {self._path}"

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            name = getattr(error, "sqlite_errorname", "")
            hint = next((HINTS[one] for one in HINTS if name.startswith(one)), "see that file")
            raise LedgerError(f"{self._place}: {error}; {hint}") from error

    def _connect(self) -> None:
        database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._database = database
        database.row_factory = _by_name
        database.create_function("unix_now", 0, _steady_clock())
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("PRAGMA secure_delete = ON")
        database.execute("PRAGMA trusted_schema = ON")  # the view `living_host` uses `unix_now()`

    def _version(self) -> int:
        tables = "SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'"
        if self.raw.execute(tables).fetchone() is None:
            return 0
        version: int = self.execute(QUERIES["schema_version"]).fetchone()["version"]
        return version

    def _migrate(self) -> None:
        """Apply the pending migrations atomically: SQLite's DDL is transactional."""
        with self.transaction():
            for migration in find_pending(MIGRATIONS, self._version(), self._place):
                for statement in _statements(migration.script):
                    self.raw.execute(statement)
                self.execute(QUERIES["insert_schema_version"], {"version": migration.version})


def lock_path(path: Path, taken: str) -> int:
    """Lock a path for this process, by a lock on a file beside it.

    Closing the ledger itself would drop SQLite's own locks, hence the other file. The kernel drops
    the lock when the process ends or the returned descriptor is closed.

    Args:
        path: The path to lock.
        taken: The error message if another process holds the lock.

    Raises:
        LedgerError: If another process holds the lock.
        OSError: If the file cannot be created.
    """
    lock = os.open(path.with_name(f"{path.name}-host"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise LedgerError(f"{taken}; give each host its own") from None
    return lock


def _by_name(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}


def _statements(script: str) -> Iterator[str]:
    """Yield the statements of a script: `executescript` would commit the transaction first."""
    statement = ""
    for part in re.split("(?<=;)", script):
        statement += part
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    yield statement


def _steady_clock(
    now: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
) -> Callable[[], float]:
    """Return a clock in Unix seconds that never steps; only one host uses this database."""
    ahead = now() - monotonic()
    return lambda: monotonic() + ahead


@cache
def _without_row_locks(query: str) -> str:
    return ROW_LOCKS.sub("", query)
