"""Concurrent work on the ledger's database."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from loqua_host.errors import LearnerError, LedgerError
from loqua_host.records.database import Database, DatabaseConnection
from loqua_host.records.writer import MAX_BATCH, Writer

MakeDatabase = Callable[[], Database]
TABLE = "CREATE TABLE kept (number INTEGER PRIMARY KEY)"


def adding(number: int) -> Callable[[DatabaseConnection], int]:
    """Return work that adds a row and says which."""

    def add(db: DatabaseConnection) -> int:
        db.execute("INSERT INTO kept (number) VALUES (:number)", {"number": number})
        return number

    return add


def kept(db: DatabaseConnection) -> list[int]:
    """Read the rows."""
    return [row["number"] for row in db.execute("SELECT number FROM kept").fetchall()]


async def all_at_once(
    writer: Writer, works: list[Callable[[DatabaseConnection], int]]
) -> list[int | BaseException]:
    """Queue work behind a busy thread until all of it waits; return the results."""
    gate = threading.Event()
    busy = asyncio.create_task(writer.run_in_thread(gate.wait))
    await asyncio.sleep(0)
    waiting = asyncio.gather(*map(writer.write, works), return_exceptions=True)
    await asyncio.sleep(0)
    gate.set()
    await busy
    return await waiting


class TransactionCounter:
    """Counts the transactions of a database."""

    def __init__(self, database: Database) -> None:
        self.transactions = 0
        self._begin = database.transaction
        database.transaction = self.transaction  # type: ignore[method-assign]  # a spy

    def transaction(self) -> object:
        """Begin one."""
        self.transactions += 1
        return self._begin()


async def test_what_waits_at_the_same_time_shares_a_transaction(
    make_database: MakeDatabase,
) -> None:
    """And with it the wait for the disk; each gets its own result."""
    database = make_database()
    async with Writer.open(database, 0.01) as writer:
        await writer.write(lambda db: db.execute(TABLE))
        counting = TransactionCounter(database)
        numbers = list(range(MAX_BATCH + 10))
        assert await all_at_once(writer, [adding(number) for number in numbers]) == numbers
        assert counting.transactions == 2
        assert sorted(await writer.write(kept)) == numbers


async def test_what_shares_a_transaction_wakes_the_event_loop_once(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To wake it for each result takes as long as the work."""
    async with Writer.open(make_database(), 0.01) as writer:
        await writer.write(lambda db: db.execute(TABLE))
        wakes: list[str] = []
        wake = asyncio.get_running_loop().call_soon_threadsafe

        def count(callback: Callable[..., object], *args: Any, **options: Any) -> object:
            wakes.append(callback.__qualname__)
            return wake(callback, *args, **options)

        monkeypatch.setattr(asyncio.get_running_loop(), "call_soon_threadsafe", count)
        await all_at_once(writer, [adding(number) for number in range(MAX_BATCH)])
    assert [name for name in wakes if name.startswith("_settle")] == ["_settle.<locals>.settle_all"]


@pytest.mark.parametrize("error", [LearnerError("cause", "no"), KeyError("a bug")])
async def test_work_that_fails_costs_what_shared_its_transaction_nothing(
    make_database: MakeDatabase, error: Exception
) -> None:
    """All of it is done again, one by one; who asked for what fails gets the error."""

    def fail(db: DatabaseConnection) -> int:
        adding(100)(db)
        raise error

    async with Writer.open(make_database(), 0.01) as writer:
        await writer.write(lambda db: db.execute(TABLE))
        works = [adding(1), fail, adding(2), adding(1), adding(3)]
        one, failed, two, again, three = await all_at_once(writer, works)
        assert (one, failed, two, three) == (1, error, 2, 3)
        assert isinstance(again, LedgerError), "there is such a row already"
        assert sorted(await writer.write(kept)) == [1, 2, 3]


async def test_what_waits_for_a_database_out_of_reach_fails_at_the_first_attempt(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt may take seconds, for which everything else would wait."""
    database = make_database()
    async with Writer.open(database, 0.01) as writer:

        def fail() -> object:
            raise LedgerError("out of reach")

        monkeypatch.setattr(database, "transaction", fail)
        counting = TransactionCounter(database)
        assert writer.responsive
        failed = await all_at_once(writer, [adding(number) for number in range(MAX_BATCH)])
        assert not writer.responsive
        monkeypatch.undo()
        assert [type(one) for one in failed] == [LedgerError] * MAX_BATCH
        assert counting.transactions == 1
        await writer.write(lambda db: db.execute(TABLE))
        assert writer.responsive


async def test_a_database_that_takes_long_is_not_responsive_meanwhile(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hang and never answer."""
    monkeypatch.setattr("loqua_host.records.writer.LATE_SECONDS", 0.0)
    async with Writer.open(make_database(), 0.01) as writer:
        assert await writer.write(lambda _: writer.responsive) is False
        assert writer.responsive


async def test_work_is_done_although_nobody_waits_for_it_any_more(
    make_database: MakeDatabase,
) -> None:
    """Also if what shared its transaction fails."""

    def fail(_: DatabaseConnection) -> int:
        raise LearnerError("cause", "no")

    async with Writer.open(make_database(), 0.01) as writer:
        await writer.write(lambda db: db.execute(TABLE))
        gate = threading.Event()
        busy = asyncio.create_task(writer.run_in_thread(gate.wait))
        await asyncio.sleep(0)
        gone = asyncio.create_task(writer.write(adding(1)))
        failing = asyncio.create_task(writer.write(fail))
        await asyncio.sleep(0)
        gone.cancel()
        gate.set()
        await asyncio.wait([busy, gone, failing])
        assert gone.cancelled()
        assert isinstance(failing.exception(), LearnerError)
        assert await writer.write(kept) == [1]


async def test_each_piece_of_work_that_the_database_fails_is_counted(
    make_database: MakeDatabase,
) -> None:
    """Refused work, and other work in the same transaction, is not."""
    async with Writer.open(make_database(), 0.01) as writer:
        await writer.write(lambda db: db.execute(TABLE))
        await writer.write(adding(1))

        def refuse(_db: DatabaseConnection) -> int:
            raise LearnerError("already_taught", "the room has this tutor already")

        await all_at_once(writer, [adding(2), adding(1), refuse, adding(3)])
        assert writer.failures == 1
