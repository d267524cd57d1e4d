"""The ledger's overhead over its database: saving progress, and deleting a row.

Run with `python tests/bench/ledger.py sqlite|postgres [rows already there]...`; prints its figures
as JSON. Both sides write to the same disk with the same durability (SQLite with WAL and
`synchronous=FULL`, Postgres with `fsync` and `synchronous_commit`), one transaction a row, in turns
of a few hundred, so that a disk that gets slower is slower for both.
"""

import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import structlog

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.dev.postgres import run_postgres
from loqua_host.records.database import Database, DatabaseConnection
from loqua_host.records.ledger import Kind, Ledger, LessonRow, OutboxRow
from loqua_host.records.postgres import PostgresDatabase
from loqua_host.records.sqlite import SqliteDatabase

ROUNDS = 9
ROWS = 200
AT_ONCE = 20
AT_A_TIME = 50_000
KEY = "a key for the ledger of this bench"


COPIES = """
INSERT INTO lesson (id, session_id, visit, room, entry, tutor, agent_id, owner, key_id, user_id,
    user_blind_index, opened_at, closed_at, state)
WITH RECURSIVE n(i) AS (
    SELECT CAST(:first AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < :last
)
SELECT 'f' || i, 'f' || i, 'f', room, entry, tutor, agent_id, owner, key_id, user_id,
    user_blind_index, 0, 1, state
FROM n, lesson WHERE id = 'x';
INSERT INTO outbox (lesson_id, kind, idempotency_key, payload, owner)
WITH RECURSIVE n(i) AS (
    SELECT CAST(:first AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < :last
)
SELECT 'f' || i, 'record', 'f' || i, payload, owner FROM n, outbox WHERE lesson_id = 'x'
"""
"""Copies of a pending record and of its lesson, from one number to another."""


def percentiles(seconds: list[float]) -> tuple[float, float]:
    """Return p50 and p99, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return round(cuts[49] * 1000, 3), round(cuts[98] * 1000, 3)


class BarePostgres:
    """Postgres by itself, with the same durability and payload."""

    def __init__(self, url: str) -> None:
        self.database = psycopg.connect(url, autocommit=True)
        self.database.execute("CREATE TABLE bare (id SERIAL PRIMARY KEY, payload TEXT)")
        self.payload = Progress(words_learned=7).model_dump_json()

    def insert(self) -> None:
        """Insert one row, on disk when it returns."""
        self.database.execute("INSERT INTO bare (payload) VALUES (%s)", (self.payload,))

    def delete(self) -> None:
        """Delete one row."""
        self.database.execute("DELETE FROM bare WHERE id = (SELECT min(id) FROM bare)")


class BareSqlite:
    """SQLite by itself, with the same durability and payload."""

    def __init__(self, path: Path) -> None:
        self.database = sqlite3.connect(path)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = FULL")
        self.database.execute("CREATE TABLE bare (id INTEGER PRIMARY KEY, payload TEXT)")
        self.payload = Progress(words_learned=7).model_dump_json()

    def insert(self) -> None:
        """Insert one row, on disk when it returns."""
        with self.database:
            self.database.execute("INSERT INTO bare (payload) VALUES (?)", (self.payload,))

    def delete(self) -> None:
        """Delete one row."""
        with self.database:
            self.database.execute("DELETE FROM bare WHERE id = (SELECT min(id) FROM bare)")


def timed(work: Callable[[], None]) -> float:
    """Return how long it took, in seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


async def open_all(ledger: Ledger, round_: int) -> list[LessonRow]:
    """Open the lessons of a round."""
    rows = [
        LessonRow(
            id=f"{round_}-{number}",
            session_id="",
            visit=f"visit-{round_}-{number}",
            user_id="maria",
            room=f"room-{round_}-{number}",
            tutor="conversation",
            agent_id="loqua-tutor",
            opened_at=0.0,
        )
        for number in range(ROWS)
    ]
    return [await ledger.open_lesson(row, "") for row in rows]


async def keep(ledger: Ledger, row: LessonRow) -> float:
    """Keep progress of a lesson: two statements, encrypted three times."""
    begun = time.perf_counter()
    await ledger.save_progress(row, 1.0, Progress(words_learned=7), {})
    return time.perf_counter() - begun


async def acknowledge(ledger: Ledger, row: OutboxRow) -> float:
    """Take a row off."""
    begun = time.perf_counter()
    await ledger.mark_delivered(row)
    return time.perf_counter() - begun


async def burst(ledger: Ledger, rows: list[LessonRow]) -> float:
    """Keep progress of lessons side by side, and give rows a second."""
    left = iter(rows)

    async def some() -> None:
        for row in left:
            await ledger.save_progress(row, 2.0, Progress(words_learned=8), {})

    begun = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return len(rows) / (time.perf_counter() - begun)


def _execute(statement: str, numbers: dict[str, int], db: DatabaseConnection) -> None:
    db.execute(statement, numbers)


async def fill(ledger: Ledger, rows: int) -> None:
    """Write records of other lessons to the ledger, all pending."""
    if not rows:
        return
    [row] = [await ledger.open_lesson(LessonRow("x", "", "x", "u", "r", "t", "a", 0.0), "")]
    record = SessionRecord(
        session_id=row.session_id, duration_minutes=1, overall_performance=Performance.GOOD
    )
    await ledger.close_lesson(row, 1.0, Kind.COMPLETED, None, record)

    for begin in range(1, rows + 1, AT_A_TIME):
        numbers = {"first": begin, "last": min(rows, begin + AT_A_TIME - 1)}
        for statement in COPIES.split(";"):
            await ledger._writer.write(partial(_execute, statement, numbers))


@contextmanager
def databases(kind: str) -> Iterator[tuple[BareSqlite | BarePostgres, Database]]:
    """Yield a bare database and one for a ledger."""
    if kind == "postgres":
        with run_postgres() as url:
            bare = BarePostgres(url)
            yield bare, PostgresDatabase(url)
            bare.database.close()
        return
    with tempfile.TemporaryDirectory(dir=".") as directory:
        other = BareSqlite(Path(directory) / "bare.db")
        yield other, SqliteDatabase(Path(directory) / "ledger.db")
        other.database.close()


async def asked(asking: Awaitable[object]) -> float:
    """Return how long an answer took, in milliseconds."""
    begun = time.perf_counter()
    await asking
    return round((time.perf_counter() - begun) * 1000, 1)


async def list_pending(ledger: Ledger) -> None:
    """List all that is pending, page by page."""
    last = ""
    while page := await ledger.pending_lessons(last):
        last = [*page][-1]


async def compare(kind: str, there: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """Alternate rounds of both and return their figures."""
    bare_in, bare_out, ours_in, ours_out, rates, bare_rates = ([] for _ in range(6))
    with databases(kind) as (bare, database):
        async with Ledger.open(database, keys=[KEY]) as ledger:
            await fill(ledger, there)
            for round_ in range(rounds):
                rows = await open_all(ledger, round_)
                begun = time.perf_counter()
                bare_in += [timed(bare.insert) for _ in rows]
                bare_rates.append(ROWS / (time.perf_counter() - begun))
                ours_in += [await keep(ledger, row) for row in rows]
                rates.append(await burst(ledger, rows))
                entries = [await ledger.next_entry(row.id) for row in rows]
                bare_out += [timed(bare.delete) for _ in rows]
                ours_out += [await acknowledge(ledger, row) for row in entries if row]
            costs = {
                "list_pending_ms": await asked(list_pending(ledger)),
                "list_a_page_ms": await asked(ledger.pending_lessons()),
                "count_backlog_ms": await asked(ledger.backlog()),
                "renew_lease_ms": await asked(ledger.take_over([])),
            }
            dead = "INSERT INTO host (id, renewed_at, lease_until) VALUES ('dead', 0, 0)"
            await ledger._writer.write(lambda db: db.execute(dead))
            costs["look_for_what_a_dead_host_left_ms"] = await asked(ledger.take_over([]))
    figures: dict[str, Any] = {"ledger": kind, "rows_there": there, **costs}
    figures["rates"] = {"bare": bare_rates, "ledger": rates}
    for name, theirs, ours in (("insert", bare_in, ours_in), ("acknowledge", bare_out, ours_out)):
        (bare50, bare99), (our50, our99) = percentiles(theirs), percentiles(ours)
        figures[name] = {
            "bare_p50_p99_ms": (bare50, bare99),
            "ledger_p50_p99_ms": (our50, our99),
            "ratio_p50_p99": (round(our50 / bare50, 2), round(our99 / bare99, 2)),
        }
    figures["rows_a_second"] = round(statistics.median(rates))
    figures["rows_a_second_ratio"] = round(
        statistics.median(rates) / statistics.median(bare_rates), 2
    )
    return figures


def main() -> int:
    """Compare and print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    kind, *there = sys.argv[1:]
    for rows in there or ["0"]:
        sys.stdout.write(json.dumps(asyncio.run(compare(kind, int(rows))), indent=2) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
