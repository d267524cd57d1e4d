"""The ledger: lessons and what is owed to the API, in SQLite.

One writer thread, WAL and `synchronous=FULL`: what a method returned for is on disk. The
file is one host's alone, no other user's to read, and what it says of learners is sealed.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import structlog
from opentelemetry import trace
from pydantic import JsonValue

from loqua_host.contract.records import Progress, SessionRecord
from loqua_host.errors import LedgerError, SealError

from .database import connect, hold, named
from .reseal import reseal
from .rows import Debts, Kind, LessonRow, OwedRow, Purged, read_lesson, read_owed
from .seal import Keyring, Sealing

__all__ = ["Debts", "Kind", "Ledger", "LessonRow", "OwedRow", "Purged"]

T = TypeVar("T")

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")

LONGEST_AGENT = 60
"""Characters of an agent's name in a session's id, which has 200 at most."""


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
        sealing: Sealing,
        retry_every: float,
    ) -> None:
        self._path = path
        self._database = database
        self._writer = writer
        self._sealing = sealing
        self._retry_every = retry_every
        self.busy_seconds = 0.0

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path, *, keys: Sequence[str] = (), retry_every: float = 5.0
    ) -> AsyncIterator["Ledger"]:
        """Open the ledger at `path`, made and brought to the newest form and key if need be.

        Args:
            path: The database file; made readable by its owner only.
            keys: The key that learners' data is sealed with, then those it was sealed with
                before; without any, data is kept as it is.
            retry_every: Seconds between attempts while the disk fails.

        Raises:
            LedgerError: If the file cannot be opened, is no ledger, is another host's or is
                sealed with another key.
        """
        loop = asyncio.get_running_loop()
        with hold(path), ThreadPoolExecutor(1, thread_name_prefix="ledger") as writer:
            with named(path):
                database = await loop.run_in_executor(writer, connect, path)
            keyring = Keyring(keys)
            try:
                with named(path):
                    await loop.run_in_executor(writer, reseal, database, keyring)
                yield cls(path, database, writer, keyring.current, retry_every)
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
                "INSERT INTO lesson (id, session_id, visit, user_id, user_mark, room, tutor,"
                " agent_id, opened_at, entry, state, key_id)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row.id,
                    row.session_id,
                    row.visit,
                    self._sealed(row.user_id, row.id, "user_id"),
                    self._sealing.mark(row.user_id),
                    row.room,
                    row.tutor,
                    row.agent_id,
                    row.opened_at,
                    row.entry,
                    self._sealed("{}", row.id, "state"),
                    self._sealing.key_id,
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
        told = progress.model_dump_json()

        def write() -> None:
            kept = self._database.execute(
                "UPDATE lesson SET seconds = ?, progress = ?, state = ?"
                " WHERE id = ? AND closed_at IS NULL",
                (
                    seconds,
                    self._sealed(told, lesson, "progress"),
                    self._sealed(json.dumps(state), lesson, "state"),
                    lesson,
                ),
            )
            if kept.rowcount:
                self._owe(lesson, Kind.IN_PROGRESS, told)

        await self._insist(write)

    async def close_lesson(
        self,
        lesson: str,
        closed_at: float,
        status: Kind,
        progress: Progress | None,
        record: SessionRecord,
        because: Sequence[str] = (),
    ) -> None:
        """Close a lesson: final progress and record in one transaction, once.

        Args:
            lesson: The lesson's id.
            closed_at: Unix seconds.
            status: COMPLETED or FAILED, for the final progress.
            progress: The progress the lesson ended with, if it made any.
            record: The lesson's record.
            because: Why the record says what the host derived, for people.
        """

        def write() -> None:
            closed = self._database.execute(
                "UPDATE lesson SET closed_at = ?, because = ? WHERE id = ? AND closed_at IS NULL",
                (closed_at, self._sealed(json.dumps(because), lesson, "because"), lesson),
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
        """List the lessons that were never closed, oldest first; unreadable ones are logged."""
        return await self._insist(
            lambda: [
                lesson
                for row in self._database.execute(
                    "SELECT * FROM lesson WHERE closed_at IS NULL ORDER BY opened_at"
                )
                if (lesson := self._read_lesson(row)) is not None
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
        """Get the oldest row still to be sent of a lesson; unreadable ones are set aside."""

        def read() -> OwedRow | None:
            while row := self._database.execute(
                "SELECT kind, key, payload, attempts, unsure, not_before, l.*"
                " FROM owed o JOIN lesson l ON l.id = o.lesson"
                " WHERE o.lesson = ? AND dead_because IS NULL ORDER BY o.id LIMIT 1",
                (lesson,),
            ).fetchone():
                try:
                    return read_owed(row, self._sealing)
                except SealError as error:
                    self._set_aside(row, str(error))
            return None

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

    async def mark_dead(self, row: OwedRow, because: str, at: float) -> None:
        """Set a row aside for good, with its reason, in unix seconds; those behind it go on."""
        why = self._sealed(because, row.lesson.id, f"{row.kind}.dead_because")
        change = "UPDATE owed SET dead_because = ?, dead_at = ?, unsure = ?"
        await self._mark(row, change, why, at, row.unsure)

    async def purge(self, *, delivered_before: float, dead_before: float) -> Purged:
        """Forget rows set aside before a time, and lessons closed before one that owe nothing.

        Times are unix seconds. Other work gets its turn between a thousand and the next.
        """
        dead = await self._delete(
            "owed", "SELECT id FROM owed WHERE dead_at < ? LIMIT 1000", dead_before
        )
        lessons = await self._delete(
            "lesson",
            "SELECT id FROM lesson l WHERE closed_at < ?"
            " AND NOT EXISTS (SELECT 1 FROM owed WHERE lesson = l.id) LIMIT 1000",
            delivered_before,
        )
        return Purged(lessons=lessons, dead=dead)

    async def _delete(self, table: str, chosen: str, before: float) -> int:
        gone = 0
        while some := await self._insist(
            lambda: (
                self._database.execute(
                    f"DELETE FROM {table} WHERE id IN ({chosen})",  # noqa: S608  # the two above
                    (before,),
                ).rowcount
            )
        ):
            gone += some
        return gone

    def _sealed(self, text: str, lesson: str, what: str) -> str:
        return self._sealing.seal(text, f"{lesson}.{what}")

    def _read_lesson(self, row: sqlite3.Row) -> LessonRow | None:
        try:
            return read_lesson(row, self._sealing)
        except SealError as error:
            log.error("lesson.unreadable", session_id=row["session_id"], why=str(error))
            return None

    def _set_aside(self, row: sqlite3.Row, why: str) -> None:
        kind = row["kind"]
        self._database.execute(
            "UPDATE owed SET dead_because = ?, dead_at = ? WHERE key = ?",
            (self._sealed(why, row["id"], f"{kind}.dead_because"), time.time(), row["key"]),
        )
        what = "record" if kind == Kind.RECORD else "progress"
        told = log.bind(session_id=row["session_id"], row=kind)
        told.error(f"{what}.dead", why=why)

    def _knows(self, session_id: str) -> bool:
        found = self._database.execute(
            "SELECT 1 FROM lesson WHERE session_id = ?", (session_id,)
        ).fetchone()
        return found is not None

    def _owe(self, lesson: str, kind: Kind, payload: str) -> None:
        self._database.execute(
            "INSERT INTO owed (lesson, kind, key, payload) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (lesson, kind) DO UPDATE"
            " SET key = excluded.key, payload = excluded.payload, dead_because = NULL,"
            " dead_at = NULL",
            (lesson, kind, str(uuid4()), self._sealed(payload, lesson, kind)),
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
                with named(self._path), self._database:
                    return work()
            finally:
                self.busy_seconds += time.monotonic() - begun

        loop = asyncio.get_running_loop()
        with tracer.start_as_current_span(f"ledger {_method(work)}", record_exception=False):
            return await asyncio.shield(loop.run_in_executor(self._writer, transaction))


def _method(work: Callable[[], object]) -> str:
    """Give the name of the ledger's method that a function was written in."""
    return work.__qualname__.removeprefix("Ledger.").partition(".")[0].strip("_")


def _session_ids(visit: str, agent: str) -> Iterator[str]:
    named = f"{visit}.{agent[:LONGEST_AGENT]}"
    return chain((visit, named), (f"{named}.{number}" for number in count(2)))
