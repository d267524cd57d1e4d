"""The ledger: lessons and what is owed to the API, in SQLite.

One writer thread, WAL and `synchronous=FULL`: what a method returned for is on disk. The
file is this host's alone and no other user's to read.
Invariants: a lesson has at most one unsent progress, a closed lesson exactly one record, and
a row leaves the ledger only when the API has taken it or something newer replaces it.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain, count
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import structlog
from pydantic import JsonValue

from loqua_host.contract.records import Progress, SessionRecord
from loqua_host.errors import LedgerError

__all__ = ["Debts", "Kind", "Ledger", "LessonRow", "OwedRow"]

T = TypeVar("T")

log = structlog.get_logger()

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
)

MENDS = {
    "SQLITE_BUSY": "another host has it open; give each host a ledger of its own",
    "SQLITE_CANTOPEN": "let the host's user write there, or set ledger.path elsewhere",
    "SQLITE_CORRUPT": "move the file aside and keep it: it may hold records not yet delivered",
    "SQLITE_FULL": "free some disk space",
    "SQLITE_NOTADB": "set ledger.path to a ledger, or to a file that does not exist yet",
    "SQLITE_READONLY": "let the host's user write there, or set ledger.path elsewhere",
}
"""What to do, by the name of SQLite's error (https://sqlite.org/rescode.html)."""

LONGEST_AGENT = 60
"""Characters of an agent's name in a session's id, which has 200 at most."""


class Kind(StrEnum):
    """What an owed row is: progress, by its status on the wire, or the record."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class LessonRow:
    """A lesson as the ledger has it.

    Attributes:
        session_id: The id the API knows the lesson by, unique in the ledger.
        opened_at: Unix seconds.
        seconds: Taught so far, as of the last progress.
        state: The tutor's own notes, as of the last progress.
        restarts: How often a tutor was brought back to it.
        entry: LiveKit's `sid` of the learner's last entry into the room.
    """

    id: str
    session_id: str
    visit: str
    user_id: str
    room: str
    tutor: str
    agent_id: str
    opened_at: float
    seconds: float = 0.0
    progress: Progress | None = None
    state: Mapping[str, JsonValue] = field(default_factory=dict)
    restarts: int = 0
    entry: str = ""


@dataclass(frozen=True, slots=True)
class OwedRow:
    """A row that the API is owed.

    Attributes:
        key: The idempotency key, the same for every attempt; another payload has another.
        payload: JSON of what is sent.
        attempts: How often it was sent.
        unsure: Whether the API may have taken it in one of these.
        not_before: Unix seconds before which it is not to be sent.
    """

    lesson: LessonRow
    kind: Kind
    key: str
    payload: str
    attempts: int
    unsure: bool
    not_before: float


@dataclass(frozen=True, slots=True)
class Debts:
    """How much is owed to the API.

    Attributes:
        records: Records still to be sent.
        progress: Progress updates still to be sent.
        dead: Rows set aside for good.
        oldest: When the lesson of the oldest record owed was closed, in unix seconds.
    """

    records: int = 0
    progress: int = 0
    dead: int = 0
    oldest: float | None = None


class Ledger:
    """Lessons and what is owed. Methods return once their change is on disk.

    While the disk is full or fails, they wait for it and say so in the log: what is owed is
    not given up. Only `open_lesson` raises, as a learner waits for its answer.

    Attributes:
        busy_seconds: How long its only connection has been in use.
    """

    def __init__(
        self,
        path: Path,
        database: sqlite3.Connection,
        writer: ThreadPoolExecutor,
        retry_every: float,
    ) -> None:
        self._path = path
        self._database = database
        self._writer = writer
        self._retry_every = retry_every
        self.busy_seconds = 0.0

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, retry_every: float = 5.0) -> AsyncIterator["Ledger"]:
        """Open the ledger at `path`, made and brought to the newest form if need be.

        Args:
            path: The database file; made readable by its owner only.
            retry_every: Seconds between attempts while the disk fails.

        Raises:
            LedgerError: If the file cannot be opened, is no ledger or is another host's.
        """
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="ledger") as writer:
            with _named(path):
                database = await loop.run_in_executor(writer, _connect, path)
            try:
                yield cls(path, database, writer, retry_every)
            finally:
                await asyncio.shield(loop.run_in_executor(writer, database.close))

    async def open_lesson(self, lesson: LessonRow, agent_name: str) -> LessonRow:
        """Write a new lesson; gets it back with a `session_id` that no other lesson has.

        The first lesson of a visit has the visit's id; a later one has its tutor's agent name
        added (its name, if it has none), and a number from the second of these on.

        Raises:
            LedgerError: If it cannot be written now.
        """

        def write() -> LessonRow:
            names = _session_ids(lesson.visit, agent_name or lesson.tutor)
            row = replace(lesson, session_id=next(n for n in names if not self._knows(n)))
            self._database.execute(
                "INSERT INTO lesson (id, session_id, visit, user_id, room, tutor, agent_id,"
                " opened_at, entry) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row.id,
                    row.session_id,
                    row.visit,
                    row.user_id,
                    row.room,
                    row.tutor,
                    row.agent_id,
                    row.opened_at,
                    row.entry,
                ),
            )
            return row

        return await self._write(write)

    async def keep_progress(
        self, lesson: str, seconds: float, progress: Progress, state: dict[str, JsonValue]
    ) -> None:
        """Keep the lesson's last progress, and owe it in place of an older unsent one.

        A lesson that is closed already stays as its record says.
        """

        def write() -> None:
            kept = self._database.execute(
                "UPDATE lesson SET seconds = ?, progress = ?, state = ?"
                " WHERE id = ? AND closed_at IS NULL",
                (seconds, progress.model_dump_json(), json.dumps(state), lesson),
            )
            if kept.rowcount:
                self._owe(lesson, Kind.IN_PROGRESS, progress.model_dump_json())

        await self._insist(write)

    async def close_lesson(
        self,
        lesson: str,
        closed_at: float,
        status: Kind,
        progress: Progress | None,
        record: SessionRecord,
    ) -> None:
        """Close a lesson: final progress and record in one transaction, once.

        Args:
            lesson: The lesson's id.
            closed_at: Unix seconds.
            status: COMPLETED or FAILED, for the final progress.
            progress: The progress the lesson ended with, if it made any.
            record: The lesson's record.
        """

        def write() -> None:
            closed = self._database.execute(
                "UPDATE lesson SET closed_at = ? WHERE id = ? AND closed_at IS NULL",
                (closed_at, lesson),
            )
            if closed.rowcount:
                self._database.execute(
                    "DELETE FROM owed WHERE lesson = ? AND kind = ?", (lesson, Kind.IN_PROGRESS)
                )
                if progress is not None:
                    self._owe(lesson, status, progress.model_dump_json())
                self._owe(lesson, Kind.RECORD, record.model_dump_json())

        await self._insist(write)

    async def open_lessons(self) -> list[LessonRow]:
        """List the lessons that were never closed, oldest first."""
        return await self._insist(
            lambda: [
                _lesson(row)
                for row in self._database.execute(
                    "SELECT * FROM lesson WHERE closed_at IS NULL ORDER BY opened_at"
                )
            ]
        )

    async def resume_lesson(self, lesson: LessonRow, entry: str) -> LessonRow:
        """Count that a tutor was brought back to a lesson, and get it so.

        Args:
            lesson: The lesson as it was interrupted.
            entry: The entry into the room that its learner is there by now.

        Raises:
            LedgerError: If it cannot be written now.
        """
        await self._write(
            lambda: self._database.execute(
                "UPDATE lesson SET restarts = restarts + 1, entry = ? WHERE id = ?",
                (entry, lesson.id),
            )
        )
        return replace(lesson, restarts=lesson.restarts + 1, entry=entry)

    async def follow_learner(self, lesson: str, entry: str) -> None:
        """Keep that the learner of a lesson has entered the room again."""
        await self._insist(
            lambda: self._database.execute(
                "UPDATE lesson SET entry = ? WHERE id = ?", (entry, lesson)
            )
        )

    async def ended_in(self, room: str) -> set[tuple[str, str]]:
        """Get the entries into a room, each with the tutor, whose lesson was closed."""
        return await self._insist(
            lambda: {
                (row["entry"], row["tutor"])
                for row in self._database.execute(
                    "SELECT DISTINCT entry, tutor FROM lesson"
                    " WHERE room = ? AND closed_at IS NOT NULL",
                    (room,),
                )
            }
        )

    async def owing(self) -> list[str]:
        """List the lessons, by id, of which something is still to be sent."""
        return await self._insist(
            lambda: [
                row["lesson"]
                for row in self._database.execute(
                    "SELECT DISTINCT lesson FROM owed WHERE dead_because IS NULL"
                )
            ]
        )

    async def debts(self) -> Debts:
        """Count what is owed; asked in vain, it does not wait for the disk.

        Raises:
            LedgerError: If the ledger cannot be read now.
        """

        def read() -> Debts:
            row = self._database.execute(
                "SELECT count(*) FILTER (WHERE kind = 'record' AND dead_because IS NULL),"
                " count(*) FILTER (WHERE kind != 'record' AND dead_because IS NULL),"
                " count(dead_because),"
                " min(closed_at) FILTER (WHERE kind = 'record' AND dead_because IS NULL)"
                " FROM owed o JOIN lesson l ON l.id = o.lesson"
            ).fetchone()
            return Debts(*row)

        return await self._write(read)

    async def next_owed(self, lesson: str) -> OwedRow | None:
        """Get the oldest row that is still to be sent of a lesson."""

        def read() -> OwedRow | None:
            row = self._database.execute(
                "SELECT kind, key, payload, attempts, unsure, not_before, l.*"
                " FROM owed o JOIN lesson l ON l.id = o.lesson"
                " WHERE o.lesson = ? AND dead_because IS NULL ORDER BY o.id LIMIT 1",
                (lesson,),
            ).fetchone()
            return None if row is None else _owed(row)

        return await self._insist(read)

    async def mark_sending(self, row: OwedRow) -> None:
        """Note an attempt before it is made, so that a crash in it is known to be ambiguous."""
        await self._mark(row, "UPDATE owed SET attempts = attempts + 1, unsure = 1")

    async def mark_delivered(self, row: OwedRow) -> None:
        """Take a row off: the API has it."""
        await self._mark(row, "DELETE FROM owed")

    async def postpone(self, row: OwedRow, until: float, *, unsure: bool) -> None:
        """Send a row no earlier than `until`, in unix seconds."""
        await self._mark(row, "UPDATE owed SET not_before = ?, unsure = ?", until, unsure)

    async def mark_dead(self, row: OwedRow, because: str) -> None:
        """Set a row aside for good, with its reason; the rows behind it go on."""
        await self._mark(row, "UPDATE owed SET dead_because = ?", because)

    def _knows(self, session_id: str) -> bool:
        found = self._database.execute(
            "SELECT 1 FROM lesson WHERE session_id = ?", (session_id,)
        ).fetchone()
        return found is not None

    def _owe(self, lesson: str, kind: Kind, payload: str) -> None:
        self._database.execute(
            "INSERT INTO owed (lesson, kind, key, payload) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (lesson, kind) DO UPDATE"
            " SET key = excluded.key, payload = excluded.payload, dead_because = NULL",
            (lesson, kind, str(uuid4()), payload),
        )

    async def _mark(self, row: OwedRow, change: str, *values: object) -> None:
        """Change a row, unless it was replaced meanwhile: then its key is another."""
        await self._insist(
            lambda: self._database.execute(f"{change} WHERE key = ?", (*values, row.key))
        )

    async def _insist(self, work: Callable[[], T]) -> T:
        while True:
            try:
                return await self._write(work)
            except LedgerError as error:
                log.error("ledger.failed", why=str(error), again_in=self._retry_every)
            await asyncio.sleep(self._retry_every)

    async def _write(self, work: Callable[[], T]) -> T:
        def transaction() -> T:
            begun = time.monotonic()
            try:
                with _named(self._path), self._database:
                    return work()
            finally:
                self.busy_seconds += time.monotonic() - begun

        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._writer, transaction))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file and the mend in whatever goes wrong with it."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        name = getattr(error, "sqlite_errorname", "")
        mend = next((MENDS[known] for known in MENDS if name.startswith(known)), "see that file")
        raise LedgerError(f"ledger.path {path}: {error}; {mend}") from error


def _lesson(row: sqlite3.Row) -> LessonRow:
    kept = row["progress"]
    return LessonRow(
        id=row["id"],
        session_id=row["session_id"],
        visit=row["visit"],
        user_id=row["user_id"],
        room=row["room"],
        tutor=row["tutor"],
        agent_id=row["agent_id"],
        opened_at=row["opened_at"],
        seconds=row["seconds"],
        progress=None if kept is None else Progress.model_validate_json(kept),
        state=json.loads(row["state"]),
        restarts=row["restarts"],
        entry=row["entry"],
    )


def _owed(row: sqlite3.Row) -> OwedRow:
    return OwedRow(
        lesson=_lesson(row),
        kind=Kind(row["kind"]),
        key=row["key"],
        payload=row["payload"],
        attempts=row["attempts"],
        unsure=bool(row["unsure"]),
        not_before=row["not_before"],
    )


def _session_ids(visit: str, agent: str) -> Iterator[str]:
    named = f"{visit}.{agent[:LONGEST_AGENT]}"
    return chain((visit, named), (f"{named}.{number}" for number in count(2)))


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.chmod(0o600)
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        database.row_factory = sqlite3.Row
        # Exclusive: recovery would otherwise close the running lessons of another host.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        _migrate(path, database)
    except BaseException:
        database.close()
        raise
    return database


def _migrate(path: Path, database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise LedgerError(f"ledger.path {path}: a newer loqua-host wrote it; install that one")
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        database.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")
