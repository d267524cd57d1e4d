"""Calls of specialists in the ledger: one result for the calling lesson, on any host."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.unit.records.test_leases import die, record_of

from loqua_host.contract.handoff import Handback
from loqua_host.contract.records import LessonReport
from loqua_host.records.database import Database
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.postgres import PostgresDatabase

NewLesson = Callable[..., LessonRow]
TAUGHT = Handback(outcome="taught", report=LessonReport(topics_covered=("articles",)))
FAILED = Handback(outcome="failed")


async def call(ledger: Ledger, a_lesson: NewLesson) -> LessonRow:
    """Open a lesson that calls the grammar specialist."""
    caller = await ledger.open_lesson(a_lesson(), "")
    await ledger.call_specialist(caller, "grammar")
    return caller


async def teach(ledger: Ledger, a_lesson: NewLesson, handback: Handback | None = TAUGHT) -> None:
    """Open and close a lesson of the specialist in the same room."""
    row = await ledger.open_lesson(a_lesson(id="grammar", tutor="grammar"), "grammar-expert")
    await ledger.close_lesson(row, 5.0, Kind.COMPLETED, None, record_of(row), handback=handback)


def stored(database: Database) -> list[Any]:
    """Return what the rows hold of calls, that of the specialist first."""
    database.open_existing()
    try:
        with database.transaction() as db:
            rows = db.execute("SELECT called, handback FROM lesson ORDER BY id").fetchall()
            return [(row["called"], row["handback"]) for row in rows]
    finally:
        database.close()


async def test_a_caller_finds_the_result_until_it_has_it(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """The result belongs to the room and the specialist that was called."""
    caller = await call(ledger, a_lesson)
    assert await ledger.handbacks(caller.room) == {}
    await teach(ledger, a_lesson)
    assert await ledger.handbacks(caller.room) == {"grammar": TAUGHT}
    assert await ledger.handbacks("another") == {}
    await ledger.end_call(caller, "grammar")
    assert await ledger.handbacks(caller.room) == {}


async def test_the_first_result_of_a_call_counts(ledger: Ledger, a_lesson: NewLesson) -> None:
    """And a result for nobody is not kept."""
    caller = await call(ledger, a_lesson)
    await ledger.refuse(caller.room, "PA_1", "grammar")
    await teach(ledger, a_lesson)
    assert await ledger.handbacks(caller.room) == {"grammar": FAILED}
    await ledger.end_call(caller, "grammar")
    await ledger.refuse(caller.room, "PA_2", "grammar")
    assert await ledger.handbacks(caller.room) == {}


async def test_another_call_begins_without_the_result_of_the_one_before(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """Whose end may come too late to end the new one."""
    caller = await call(ledger, a_lesson)
    await teach(ledger, a_lesson)
    await ledger.call_specialist(caller, "pronunciation")
    await ledger.end_call(caller, "grammar")
    assert await ledger.handbacks(caller.room) == {}
    await ledger.refuse(caller.room, "PA_1", "pronunciation")
    assert await ledger.handbacks(caller.room) == {"pronunciation": FAILED}


async def test_a_lesson_that_is_closed_keeps_no_result(
    make_database: Callable[[], Database], a_lesson: NewLesson
) -> None:
    """Nor gets one."""
    async with Ledger.open(make_database()) as ledger:
        caller = await call(ledger, a_lesson)
        await ledger.close_lesson(caller, 5.0, Kind.COMPLETED, None, record_of(caller))
        await teach(ledger, a_lesson)
    assert stored(make_database()) == [(None, None), (None, None)]


async def test_a_result_is_encrypted_with_the_callers_key_and_reencrypted(
    make_database: Callable[[], Database], a_lesson: NewLesson
) -> None:
    """It says what a learner has learned."""
    async with Ledger.open(make_database(), keys=["old" * 11]) as ledger:
        await call(ledger, a_lesson)
        await teach(ledger, a_lesson)
    [_, (_, before)] = stored(make_database())
    assert "articles" not in before
    async with Ledger.open(make_database(), keys=["new" * 11, "old" * 11], plaintext=False):
        pass
    [_, (_, after)] = stored(make_database())
    assert after != before
    async with Ledger.open(make_database(), keys=["new" * 11], plaintext=False) as ledger:
        assert await ledger.handbacks(a_lesson().room) == {"grammar": TAUGHT}


async def test_a_call_outlives_the_hosts_of_caller_and_specialist(
    postgres_url: str, a_lesson: NewLesson
) -> None:
    """The host that resumes the caller's lesson knows of the call and gets the result."""
    async with AsyncExitStack() as stack:
        one, other, third = [
            await stack.enter_async_context(
                Ledger.open(PostgresDatabase(postgres_url), keys=["k" * 32], retry_every=0.01)
            )
            for _ in range(3)
        ]
        caller = await call(one, a_lesson)
        row = await other.open_lesson(a_lesson(id="grammar", tutor="grammar"), "grammar-expert")
        for host in (one, other):
            await die(host)
        assert await third.take_over(["conversation", "grammar"]) == 2
        resumed = await third.open_lesson(a_lesson(), "")
        assert (resumed.id, resumed.called) == (caller.id, "grammar")
        again = await third.open_lesson(a_lesson(id="x", tutor="grammar"), "grammar-expert")
        await other.close_lesson(row, 5.0, Kind.COMPLETED, None, record_of(row), handback=FAILED)
        await third.close_lesson(
            again, 6.0, Kind.COMPLETED, None, record_of(again), handback=TAUGHT
        )
        assert await third.handbacks(caller.room) == {"grammar": TAUGHT}


async def test_hosts_tell_each_other_their_specialists(postgres_url: str) -> None:
    """The living ones, and what they run now."""
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(Ledger.open(PostgresDatabase(postgres_url)))
            for _ in range(2)
        ]
        tutors = {"conversation": "", "grammar": "grammar-expert"}
        assert await one.exchange_tutors(tutors) == {}
        assert await other.exchange_tutors({}) == {"grammar": "grammar-expert"}
        await one.exchange_tutors(tutors | {"grammar": "grammar-2"})
        assert await other.exchange_tutors({}) == {"grammar": "grammar-2"}
        await one.exchange_tutors({"verbs": "verb-expert"})
        assert await other.exchange_tutors({}) == {"verbs": "verb-expert"}
        await die(one)
        assert await other.exchange_tutors({}) == {}


@pytest.mark.parametrize("key", ["another" * 5, ""], ids=["another key", "no key"])
async def test_a_result_that_cannot_be_read_counts_as_failed(
    make_database: Callable[[], Database], a_lesson: NewLesson, key: str
) -> None:
    """The caller goes on."""
    async with Ledger.open(make_database(), keys=["k" * 32]) as ledger:
        caller = await call(ledger, a_lesson)
        changed = {"handback": f"changed {key}", "lesson": caller.id}
        text = "UPDATE lesson SET handback = :handback WHERE id = :lesson"
        await ledger._writer.write(lambda db: db.execute(text, changed))
        assert await ledger.handbacks(caller.room) == {"grammar": FAILED}
