"""Retention: deletion on time of closed lessons, and not of undelivered entries."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.records.ledger import Kind, Ledger, LessonRow, Purged
from loqua_host.records.retention import PURGE_INTERVAL, purge_regularly

NewLesson = Callable[..., LessonRow]


async def close(ledger: Ledger, row: LessonRow, at: float) -> LessonRow:
    """Open a lesson and close it; its record is undelivered."""
    row = await ledger.open_lesson(row, "")
    record = SessionRecord(
        session_id=row.session_id, duration_minutes=1, overall_performance=Performance.GOOD
    )
    await ledger.close_lesson(row, at, Kind.COMPLETED, None, record)
    return row


async def settle(
    ledger: Ledger, row: LessonRow, dead_at: float | None = None, *, unknown: bool = False
) -> None:
    """Deliver the record of a lesson, or make it a dead letter."""
    entry = await ledger.next_entry(row.id)
    assert entry is not None
    if dead_at is None:
        await ledger.mark_delivered(entry)
    else:
        await ledger.dead_letter(entry, "404", dead_at, unknown_learner=unknown)


async def left(ledger: Ledger) -> list[str]:
    """List the lessons that the ledger still has."""
    text = "SELECT id FROM lesson ORDER BY id"
    rows = await ledger._writer.write(lambda db: db.execute(text).fetchall())
    return [row["id"] for row in rows]


async def test_only_what_is_over_is_forgotten(ledger: Ledger, a_lesson: NewLesson) -> None:
    """Open lessons, pending ones and recent ones remain."""
    await ledger.open_lesson(a_lesson(1), "")
    await close(ledger, a_lesson(2), at=10.0)
    await settle(ledger, await close(ledger, a_lesson(3), at=10.0))
    await settle(ledger, await close(ledger, a_lesson(4), at=100.0))
    assert await ledger.purge(
        delivered_before=50.0, dead_before=50.0, unknown_before=50.0
    ) == Purged(1, 0)
    assert await left(ledger) == ["lesson1", "lesson2", "lesson4"]


async def test_what_was_set_aside_is_kept_longer_and_goes_with_its_lesson(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """An operator has time to correct the cause of the refusal."""
    await settle(ledger, await close(ledger, a_lesson(1), at=10.0), dead_at=20.0)
    assert await ledger.purge(
        delivered_before=50.0, dead_before=15.0, unknown_before=15.0
    ) == Purged(0, 0)
    assert await ledger.purge(
        delivered_before=50.0, dead_before=25.0, unknown_before=15.0
    ) == Purged(1, 1)
    assert await left(ledger) == []


async def test_what_is_of_a_learner_whom_the_api_does_not_know_goes_in_a_time_of_its_own(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """With its lesson; other dead letters stay."""
    for number in (1, 2):
        row = await close(ledger, a_lesson(number), at=10.0)
        await settle(ledger, row, dead_at=20.0, unknown=number == 1)
    gone = await ledger.purge(delivered_before=50.0, dead_before=15.0, unknown_before=25.0)
    assert gone == Purged(1, 1)
    assert await left(ledger) == ["lesson2"]


async def test_thousands_go_in_portions(ledger: Ledger, a_lesson: NewLesson) -> None:
    """A lesson's progress never waits for all of them."""
    row = await close(ledger, a_lesson(1), at=10.0)
    await settle(ledger, row)
    await ledger._writer.write(
        lambda db: db.execute(
            "INSERT INTO lesson (id, session_id, visit, room, entry, tutor, agent_id, owner,"
            " key_id, user_id, user_blind_index, opened_at, closed_at, state)"
            " WITH RECURSIVE n(i) AS"
            " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT CAST(i AS TEXT),"
            " CAST(i AS TEXT), '', '', '', '', '', '', '', '', '', 0, 1, '{}' FROM n"
        )
    )
    assert await ledger.purge(
        delivered_before=50.0, dead_before=50.0, unknown_before=50.0
    ) == Purged(2501, 0)


async def test_a_session_id_is_free_again_only_once_its_lesson_is_forgotten(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """Until then the API may still hear of the first one."""
    await settle(ledger, await close(ledger, a_lesson(1, id="first"), at=10.0))
    second = await close(ledger, a_lesson(1, id="second"), at=10.0)
    assert second.session_id == "visit1.conversation"
    await ledger.purge(delivered_before=50.0, dead_before=50.0, unknown_before=50.0)
    assert (await ledger.open_lesson(a_lesson(1, id="third"), "")).session_id == "visit1"


async def test_the_host_purges_every_hour(ledger: Ledger, wall: Any, a_lesson: NewLesson) -> None:
    """A lesson that is over goes in the first hour after its time."""
    row = await close(ledger, a_lesson(1), at=wall.now())
    await ledger.save_progress(row, 1.0, Progress(), {})
    await settle(ledger, row)
    begun = wall.now()
    day = timedelta(days=1)
    purging = asyncio.create_task(
        purge_regularly(
            ledger,
            keep_delivered=day,
            keep_dead=day,
            keep_unknown=day,
            captures=None,
            clock=wall,
        )
    )
    async with asyncio.timeout(30):
        while await left(ledger):  # noqa: ASYNC110  # no event says so
            await asyncio.sleep(0)
    purging.cancel()
    await asyncio.wait([purging])
    assert wall.now() - begun >= day.total_seconds()
    assert set(wall.slept) == {PURGE_INTERVAL}
