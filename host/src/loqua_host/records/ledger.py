"""The ledger: lessons and what is owed to the API, in SQLite.

One writer thread, WAL and `synchronous=FULL`: what a method returned for is on disk.
Invariants: a lesson has at most one unsent progress, a closed lesson exactly one record, and
a row leaves the ledger only when the API has taken it or refused it for good.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain, count
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from pydantic import JsonValue

from loqua_host.contract.records import Progress, SessionRecord

__all__ = ["Kind", "Ledger", "LessonRow", "OwedRow"]

T = TypeVar("T")

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
        state TEXT,
        closed_at REAL
    ) STRICT;
    CREATE INDEX lesson_open ON lesson (closed_at) WHERE closed_at IS NULL;
    CREATE TABLE owed (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        lesson TEXT NOT NULL REFERENCES lesson (id),
        kind TEXT NOT NULL,
        key TEXT NOT NULL UNIQUE,
        payload TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        not_before REAL NOT NULL DEFAULT 0,
        dead_because TEXT
    ) STRICT;
    CREATE INDEX owed_due ON owed (lesson, id) WHERE dead_because IS NULL;
    """,
)


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


@dataclass(frozen=True, slots=True)
class OwedRow:
    """A row that the API is owed.

    Attributes:
        key: The idempotency key, the same for every attempt.
        payload: JSON of what is sent.
        attempts: How often it was sent and the end of it is not known.
    """

    id: int
    lesson: LessonRow
    kind: Kind
    key: str
    payload: str
    attempts: int


class Ledger:
    """Lessons and what is owed. Methods return once their change is on disk."""

    def __init__(self, database: sqlite3.Connection, writer: ThreadPoolExecutor) -> None:
        self._database = database
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator["Ledger"]:
        """Open the ledger at `path`, made and brought to the newest form if need be.

        Raises:
            sqlite3.Error: If the file cannot be opened or is not a ledger.
        """
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="ledger") as writer:
            database = await loop.run_in_executor(writer, _connect, path)
            try:
                yield cls(database, writer)
            finally:
                await asyncio.shield(loop.run_in_executor(writer, database.close))

    async def open_lesson(self, lesson: LessonRow, agent_name: str) -> LessonRow:
        """Write a new lesson; gets it back with a `session_id` that no other lesson has.

        The first lesson of a visit has the visit's id; a later one has its tutor's agent name
        added (its name, if it has none), and a number from the second of these on.
        """

        def write() -> LessonRow:
            names = _session_ids(lesson.visit, agent_name or lesson.tutor)
            row = replace(lesson, session_id=next(n for n in names if not self._knows(n)))
            self._database.execute(
                "INSERT INTO lesson (id, session_id, visit, user_id, room, tutor, agent_id,"
                " opened_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row.id,
                    row.session_id,
                    row.visit,
                    row.user_id,
                    row.room,
                    row.tutor,
                    row.agent_id,
                    row.opened_at,
                ),
            )
            return row

        return await self._write(write)

    async def keep_progress(
        self, lesson: str, seconds: float, progress: Progress, state: dict[str, JsonValue]
    ) -> None:
        """Keep the lesson's last progress, and owe it in place of an older unsent one."""

        def write() -> None:
            self._database.execute(
                "UPDATE lesson SET seconds = ?, progress = ?, state = ? WHERE id = ?",
                (seconds, progress.model_dump_json(), json.dumps(state), lesson),
            )
            self._drop_unsent_progress(lesson)
            self._owe(lesson, Kind.IN_PROGRESS, progress.model_dump_json())

        await self._write(write)

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
                self._drop_unsent_progress(lesson)
                if progress is not None:
                    self._owe(lesson, status, progress.model_dump_json())
                self._owe(lesson, Kind.RECORD, record.model_dump_json())

        await self._write(write)

    async def open_lessons(self) -> list[LessonRow]:
        """List the lessons that were never closed, oldest first."""
        return await self._write(
            lambda: [
                _lesson(row)
                for row in self._database.execute(
                    "SELECT * FROM lesson WHERE closed_at IS NULL ORDER BY opened_at"
                )
            ]
        )

    async def due(self, now: float) -> list[OwedRow]:
        """List for each lesson the one row that may be sent now: its oldest."""
        return await self._write(
            lambda: [
                _owed(row)
                for row in self._database.execute(
                    "SELECT o.id AS row_id, kind, key, payload, attempts, l.*"
                    " FROM owed o JOIN lesson l ON l.id = o.lesson"
                    " WHERE o.id IN (SELECT min(id) FROM owed WHERE dead_because IS NULL"
                    " GROUP BY lesson) AND o.not_before <= ? ORDER BY o.id",
                    (now,),
                )
            ]
        )

    async def next_due(self) -> float | None:
        """Get the unix time at which the next row may be sent; None when nothing is owed."""

        def read() -> float | None:
            (when,) = self._database.execute(
                "SELECT min(not_before) FROM owed WHERE id IN"
                " (SELECT min(id) FROM owed WHERE dead_because IS NULL GROUP BY lesson)"
            ).fetchone()
            return None if when is None else float(when)

        return await self._write(read)

    async def owed_of(self, lesson: str) -> int:
        """Count what is still to be sent of a lesson."""
        return await self._write(
            lambda: int(
                self._database.execute(
                    "SELECT count(*) FROM owed WHERE lesson = ? AND dead_because IS NULL",
                    (lesson,),
                ).fetchone()[0]
            )
        )

    async def mark_sending(self, row: OwedRow) -> None:
        """Note an attempt before it is made, so that a crash in it is known to be ambiguous."""
        await self._execute("UPDATE owed SET attempts = attempts + 1 WHERE id = ?", (row.id,))

    async def mark_delivered(self, row: OwedRow) -> None:
        """Take a row off: the API has it."""
        await self._execute("DELETE FROM owed WHERE id = ?", (row.id,))

    async def postpone(self, row: OwedRow, until: float) -> None:
        """Send a row no earlier than `until`, in unix seconds."""
        await self._execute("UPDATE owed SET not_before = ? WHERE id = ?", (until, row.id))

    async def mark_dead(self, row: OwedRow, because: str) -> None:
        """Set a row aside for good, with its reason; the rows behind it go on."""
        await self._execute("UPDATE owed SET dead_because = ? WHERE id = ?", (because, row.id))

    def _knows(self, session_id: str) -> bool:
        found = self._database.execute(
            "SELECT 1 FROM lesson WHERE session_id = ?", (session_id,)
        ).fetchone()
        return found is not None

    def _drop_unsent_progress(self, lesson: str) -> None:
        self._database.execute(
            "DELETE FROM owed WHERE lesson = ? AND kind = ? AND attempts = 0",
            (lesson, Kind.IN_PROGRESS),
        )

    def _owe(self, lesson: str, kind: Kind, payload: str) -> None:
        self._database.execute(
            "INSERT INTO owed (lesson, kind, key, payload) VALUES (?, ?, ?, ?)",
            (lesson, kind, str(uuid4()), payload),
        )

    async def _execute(self, sql: str, values: Sequence[object]) -> None:
        await self._write(lambda: self._database.execute(sql, tuple(values)))

    async def _write(self, work: Callable[[], T]) -> T:
        def transaction() -> T:
            with self._database:
                return work()

        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self._writer, transaction))


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
    )


def _owed(row: sqlite3.Row) -> OwedRow:
    return OwedRow(
        id=row["row_id"],
        lesson=_lesson(row),
        kind=Kind(row["kind"]),
        key=row["key"],
        payload=row["payload"],
        attempts=row["attempts"],
    )


def _session_ids(visit: str, agent: str) -> Iterator[str]:
    return chain((visit, f"{visit}.{agent}"), (f"{visit}.{agent}.{number}" for number in count(2)))


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path, check_same_thread=False)
    database.row_factory = sqlite3.Row
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA foreign_keys = ON")
    _migrate(database)
    return database


def _migrate(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        database.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
