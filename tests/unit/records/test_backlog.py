"""The size of the backlog, for operators."""

from collections.abc import Callable

from loqua_host.contract.records import Progress
from loqua_host.records.ledger import Backlog, Kind, Ledger, LessonRow
from loqua_host.records.session_record import compose_record

ALesson = Callable[..., LessonRow]


async def test_nothing_is_pending_at_first(ledger: Ledger) -> None:
    """And no record is old."""
    assert await ledger.backlog() == Backlog()


async def test_the_backlog_counts_records_progress_and_dead_letters(
    ledger: Ledger, a_lesson: ALesson
) -> None:
    """The oldest record is as old as its lesson's end."""
    for number, closed_at in ((1, 500.0), (2, 400.0), (3, 300.0)):
        row = await ledger.open_lesson(a_lesson(number), "")
        record = compose_record(row, None, 60).record
        await ledger.close_lesson(row, closed_at, Kind.COMPLETED, Progress(), record)
    await ledger.save_progress(await ledger.open_lesson(a_lesson(4), ""), 1, Progress(), {})
    for kind in (Kind.COMPLETED, Kind.RECORD):
        entry = await ledger.next_entry("lesson3")
        assert entry is not None
        assert entry.kind is kind
        await ledger.dead_letter(entry, "refused", 1.0)
    assert await ledger.backlog() == Backlog(records=2, progress=3, dead=2, oldest=400.0)


async def test_the_time_in_use_grows_with_use(ledger: Ledger) -> None:
    """It is the ledger's only connection."""
    before = ledger.busy_seconds
    await ledger.pending_lessons()
    assert ledger.busy_seconds > before
