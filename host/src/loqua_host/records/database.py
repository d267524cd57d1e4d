"""The ledger's file: one host's at a time, brought to the newest form, failing by name."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loqua_host.errors import LedgerError

__all__ = ["connect", "hold", "join", "named"]

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
)
"""The forms the ledger has had, oldest first.

`key_id` names the key that a lesson's `user_id`, `progress`, `state` and `because` and its rows'
`payload` and `dead_because` are sealed with; `user_mark` is what its user is found by.
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


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Be the only host of a ledger for the length of a block; the kernel ends it with a process.

    Recovery would otherwise close the running lessons of another host. The lock is on a file
    beside the ledger: to close the ledger itself would drop SQLite's own locks.

    Raises:
        LedgerError: If another host has it.
    """
    with named(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_name(f"{path.name}-host"), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _lock(path, lock)
        yield
    finally:
        os.close(lock)


def _lock(path: Path, lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        mend = "give each host a ledger of its own"
        raise LedgerError(f"ledger.path {path}: another host has it open; {mend}") from None


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Name the file and the mend in whatever goes wrong with it."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        name = getattr(error, "sqlite_errorname", "")
        mend = next((MENDS[known] for known in MENDS if name.startswith(known)), "see that file")
        raise LedgerError(f"ledger.path {path}: {error}; {mend}") from error


def connect(path: Path) -> sqlite3.Connection:
    """Open a host's ledger, made and brought to the newest form if need be."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        _prepare(database)
        _migrate(path, database)
    except BaseException:
        database.close()
        raise
    return database


def join(path: Path) -> sqlite3.Connection:
    """Open a ledger that is there, beside the host that has it."""
    if not path.exists():
        raise LedgerError(f"ledger.path {path}: is not there; run this where the host runs")
    database = sqlite3.connect(path)
    try:
        _prepare(database)
        _refuse_other_form(path, database)
    except BaseException:
        database.close()
        raise
    return database


def _refuse_other_form(path: Path, database: sqlite3.Connection) -> None:
    if _version(database) != len(MIGRATIONS):
        mend = "use the loqua-host that runs with it, or start this one once"
        raise LedgerError(f"ledger.path {path}: has the form of another version; {mend}")


def _prepare(database: sqlite3.Connection) -> None:
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA foreign_keys = ON")
    database.execute("PRAGMA secure_delete = ON")


def _version(database: sqlite3.Connection) -> int:
    version: int = database.execute("PRAGMA user_version").fetchone()[0]
    return version


def _migrate(path: Path, database: sqlite3.Connection) -> None:
    version = _version(database)
    if version > len(MIGRATIONS):
        raise LedgerError(f"ledger.path {path}: a newer loqua-host wrote it; install that one")
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        database.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
