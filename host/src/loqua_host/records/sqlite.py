"""The ledger in a file: one host's at a time, failing by name."""

import fcntl
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from loqua_host.errors import LedgerError

__all__ = ["SqliteDatabase", "hold"]

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE lesson (
        id TEXT PRIMARY KEY,
        session_id TEXT NOT NULL UNIQUE,
        visit TEXT NOT NULL,
        user_id TEXT NOT NULL,
        room TEXT NOT NULL,
        tutor TEXT NOT NULL,
        agent_id TEXT NOT NULL,
        opened_at REAL NOT NULL,
        seconds REAL NOT NULL DEFAULT 0,
        progress TEXT,
        state TEXT NOT NULL DEFAULT '{}',
        restarts INTEGER NOT NULL DEFAULT 0,
        closed_at REAL
    ) STRICT;
    CREATE INDEX lesson_room ON lesson (room);
    CREATE INDEX lesson_open ON lesson (closed_at) WHERE closed_at IS NULL;
    CREATE TABLE owed (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        lesson TEXT NOT NULL REFERENCES lesson (id),
        kind TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE,
        payload TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        unsure INTEGER NOT NULL DEFAULT 0,
        not_before REAL NOT NULL DEFAULT 0,
        dead_because TEXT,
        UNIQUE (lesson, kind)
    ) STRICT;
    CREATE INDEX owed_due ON owed (lesson, id) WHERE dead_because IS NULL;
    """,
    "ALTER TABLE lesson ADD COLUMN entry TEXT NOT NULL DEFAULT '';",
    """
    ALTER TABLE lesson ADD COLUMN user_mark TEXT NOT NULL DEFAULT '';
    ALTER TABLE lesson ADD COLUMN key_id TEXT NOT NULL DEFAULT '';
    ALTER TABLE lesson ADD COLUMN because TEXT;
    ALTER TABLE owed ADD COLUMN dead_at REAL;
    UPDATE lesson SET user_mark = user_id;
    UPDATE owed SET dead_at = CAST(strftime('%s', 'now') AS REAL) WHERE dead_because IS NOT NULL;
    CREATE INDEX lesson_user ON lesson (user_mark);
    CREATE INDEX lesson_closed ON lesson (closed_at) WHERE closed_at IS NOT NULL;
    CREATE INDEX lesson_key ON lesson (key_id);
    CREATE INDEX owed_dead ON owed (dead_at) WHERE dead_at IS NOT NULL;
    """,
    """
    ALTER TABLE lesson ADD COLUMN owner TEXT NOT NULL DEFAULT '';
    ALTER TABLE lesson ADD COLUMN interrupted INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX lesson_owner ON lesson (owner);
    CREATE TABLE host (id TEXT PRIMARY KEY, lease_until REAL NOT NULL) STRICT;
    INSERT INTO host (id, lease_until) VALUES ('', 0);
    CREATE TABLE claim (
        room TEXT NOT NULL,
        tutor TEXT NOT NULL,
        host TEXT NOT NULL,
        lesson TEXT REFERENCES lesson (id) ON DELETE CASCADE,
        until REAL NOT NULL,
        PRIMARY KEY (room, tutor)
    ) STRICT;
    CREATE INDEX claim_lesson ON claim (lesson);
    CREATE TABLE refusal (
        room TEXT NOT NULL,
        entry TEXT NOT NULL,
        tutor TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (room, entry, tutor)
    ) STRICT;
    """,
    """
    ALTER TABLE owed ADD COLUMN owner TEXT NOT NULL DEFAULT '';
    UPDATE owed SET owner = (SELECT owner FROM lesson WHERE id = owed.lesson);
    DROP INDEX owed_due;
    CREATE INDEX owed_due ON owed (owner, lesson, id) WHERE dead_because IS NULL;
    """,
    "ALTER TABLE owed ADD COLUMN unknown INTEGER NOT NULL DEFAULT 0;",
    "ALTER TABLE lesson ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;",
)
"""The forms the ledger has had, oldest first.

`key_id` names the key that a lesson's `user_id`, `progress`, `state` and `because` and its rows'
`payload` and `dead_because` are sealed with; `user_mark` is what its user is found by; `unknown`
rows are dead because the API does not know the learner. Whose a lesson is, and what a claim says:
see leases.py.
"""

MENDS = {
    "SQLITE_BUSY": "another process writes to it for long; end that one",
    "SQLITE_CANTOPEN": "let the host's user write there, or set ledger.path elsewhere",
    "SQLITE_CORRUPT": "move the file aside and keep it: it may hold records not yet delivered",
    "SQLITE_FULL": "free some disk space",
    "SQLITE_NOTADB": "set ledger.path to a ledger, or to a file that does not exist yet",
    "SQLITE_READONLY": "let the host's user write there, or set ledger.path elsewhere",
}
"""What to do, by the name of SQLite's error (https://sqlite.org/rescode.html)."""

LOCKING = re.compile(" FOR UPDATE( SKIP LOCKED)?")


class SqliteDatabase:
    """The file that `ledger.path` names, with WAL and `synchronous=FULL`; one host's alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None
        self._database: sqlite3.Connection | None = None

    def open(self) -> None:
        """Connect as the only host; the leases of those before it are over."""
        with self._named():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = hold(self._path, f"ledger.path {self._path}: another host has it open")
            try:
                self._path.touch(mode=0o600)
                self._path.chmod(0o600)
                self._connect()
                self._migrate()
                self.raw.execute("UPDATE host SET lease_until = 0")
            except BaseException:
                self.close()
                raise

    def join(self) -> None:
        """Connect beside the host that has it."""
        with self._named():
            if not self._path.exists():
                raise LedgerError(f"{self._place}: is not there; run this where the host runs")
            self._connect()
            version = self._version()
        if version != len(MIGRATIONS):
            self.close()
            mend = "use the loqua-host that runs with it, or start this one once"
            raise LedgerError(f"{self._place}: has the form of another version; {mend}")

    @contextmanager
    def transaction(self) -> Iterator["SqliteDatabase"]:
        """Give a transaction, which no other process writes beside."""
        with self._named():
            self.raw.execute("BEGIN IMMEDIATE")
            with self.raw:
                yield self

    def execute(self, text: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Do one statement; nobody else chooses from this database meanwhile."""
        return self.raw.execute(_unlocked(text), tuple(values))

    def scrub(self) -> None:
        """Have the write-ahead log taken over and emptied: it holds what was deleted."""
        with self._named():
            self.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file and let the next host have it."""
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
            mend = next((MENDS[one] for one in MENDS if name.startswith(one)), "see that file")
            raise LedgerError(f"{self._place}: {error}; {mend}") from error

    def _connect(self) -> None:
        database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        self._database = database
        database.row_factory = _by_name
        database.create_function("unix_now", 0, _steady_clock())
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            database.execute(f"PRAGMA {pragma}")
        database.execute("PRAGMA secure_delete = ON")

    def _version(self) -> int:
        version: int = self.raw.execute("PRAGMA user_version").fetchone()["user_version"]
        return version

    def _migrate(self) -> None:
        version = self._version()
        if version > len(MIGRATIONS):
            raise LedgerError(f"{self._place}: a newer loqua-host wrote it; install that one")
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self.raw.executescript(
                f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;"
            )


def hold(path: Path, taken: str) -> int:
    """Be the only process that has a path, by a lock on a file beside it.

    To close the ledger itself would drop SQLite's own locks. The kernel ends it with the process,
    and closing the descriptor that this gives ends it, too.

    Args:
        path: What is held.
        taken: What the error says if another process has it.

    Raises:
        LedgerError: If another process has it.
        OSError: If there cannot be such a file.
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


def _steady_clock() -> Callable[[], float]:
    """Give a clock in unix seconds that does not step: one host alone has this database."""
    ahead = time.time() - time.monotonic()
    return lambda: time.monotonic() + ahead


@cache
def _unlocked(text: str) -> str:
    return LOCKING.sub("", text)
