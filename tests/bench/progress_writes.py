"""The cost of a lesson's tick on Postgres: its transactions, one after another.

Run `uv run python -m tests.bench.progress_writes [ticks]`; it prints its figures as JSON. The
server is local, with durable commits (`fsync`, `synchronous_commit`). A tick saves progress, marks
it sent and deletes it: `transaction_ms` is a third of that, `commit_ms` is a commit of one row
without the ledger.
"""

import asyncio
import json
import os
import sys
import time
from statistics import median

import psycopg

from loqua_host.contract.records import Progress
from loqua_host.dev.postgres import run_postgres
from loqua_host.records.ledger import Ledger, LessonRow
from loqua_host.records.postgres import PostgresDatabase

TICKS = 300
TRANSACTIONS = 3
LESSON = LessonRow("lesson", "visit", "visit", "maria", "room", "tutor", "agent", 0.0)


async def tick(ledger: Ledger, number: int) -> float:
    """Save progress and deliver it; return the seconds that this takes."""
    begun = time.perf_counter()
    await ledger.save_progress(LESSON, number * 30.0, Progress(words_learned=number), {})
    saved = time.perf_counter()
    entry = await ledger.next_entry(LESSON.id)
    assert entry is not None
    sending = time.perf_counter()
    await ledger.mark_sending(entry)
    await ledger.mark_delivered(entry)
    return (saved - begun) + (time.perf_counter() - sending)


def commits(url: str, times: int) -> list[float]:
    """Return the seconds of each of some commits of one row."""
    taken = []
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE single (number INTEGER)")
        connection.commit()
        for number in range(times):
            begun = time.perf_counter()
            connection.execute("INSERT INTO single VALUES (%s)", [number])
            connection.commit()
            taken.append(time.perf_counter() - begun)
    return taken


async def measure(ticks: int) -> dict[str, float]:
    """Return the figures."""
    with run_postgres() as url:
        single = commits(url, ticks)
        async with Ledger.open(PostgresDatabase(url), keys=["k" * 32]) as ledger:
            await ledger.open_lesson(LESSON, "")
            taken = [await tick(ledger, number) for number in range(1, ticks + 1)]
    return {
        "ticks": ticks,
        "transaction_ms": round(median(taken) / TRANSACTIONS * 1000, 2),
        "commit_ms": round(median(single) * 1000, 2),
        "load_per_core": round(os.getloadavg()[0] / (os.cpu_count() or 1), 1),
    }


if __name__ == "__main__":
    figures = asyncio.run(measure(int(sys.argv[1]) if sys.argv[1:] else TICKS))
    print(json.dumps(figures))  # noqa: T201  # the result
