"""The ledger: atomic and durable writes, and unreadable files."""

import asyncio
import sqlite3
import stat
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.errors import LedgerError
from loqua_host.records import updates
from loqua_host.records.database import Database
from loqua_host.records.ledger import Kind, Ledger, LessonRow, OutboxRow
from loqua_host.records.sqlite import SqliteDatabase

NewDatabase = Callable[[], Database]
NewLesson = Callable[..., LessonRow]


def record_of(lesson: LessonRow) -> SessionRecord:
    """Return a record of this lesson."""
    return SessionRecord(
        session_id=lesson.session_id, duration_minutes=1, overall_performance=Performance.GOOD
    )


async def open_ids(ledger: Ledger) -> list[str]:
    """List the lessons that are not closed."""
    text = "SELECT id FROM lesson WHERE closed_at IS NULL ORDER BY id"
    rows = await ledger._writer.write(lambda db: db.execute(text).fetchall())
    return [row["id"] for row in rows]


async def entry(ledger: Ledger, lesson: LessonRow) -> list[OutboxRow]:
    """Take all rows of a lesson off, in order."""
    rows = []
    while row := await ledger.next_entry(lesson.id):
        rows.append(row)
        await ledger.mark_delivered(row)
    return rows


async def test_a_lesson_is_found_open_after_a_restart(
    make_database: NewDatabase, a_lesson: NewLesson
) -> None:
    """It has its last progress."""
    async with Ledger.open(make_database()) as ledger:
        lesson = await ledger.open_lesson(a_lesson(), "")
        await ledger.save_progress(lesson, 30.0, Progress(words_learned=3), {"scene": 2})
    async with Ledger.open(make_database()) as ledger:
        assert await ledger.take_over(["conversation"]) == 1
        [found] = await ledger.interrupted()
    assert found.seconds == 30.0
    assert found.progress == Progress(words_learned=3)


async def test_lessons_of_one_visit_have_session_ids_of_their_own(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """The first is the visit; others add who teaches, then a number."""
    names = [("", "conversation"), ("grammar-expert", "grammar"), ("", "conversation")]
    names += [("grammar-expert", "grammar"), ("", "conversation")]
    opened = []
    for number, (agent, tutor) in enumerate(names):
        row = a_lesson(id=f"l{number}", visit="sess_1", tutor=tutor, room=f"room{number}")
        opened.append(await ledger.open_lesson(row, agent))
    assert [row.session_id for row in opened] == [
        "sess_1",
        "sess_1.grammar-expert",
        "sess_1.conversation",
        "sess_1.grammar-expert.2",
        "sess_1.conversation.2",
    ]


async def test_the_longest_names_still_make_a_session_id_that_a_record_takes(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """No agent name is so long that its lesson could not be recorded."""
    visit = "v" * 128
    await ledger.open_lesson(a_lesson(id="one", visit=visit), "a" * 500)
    second = await ledger.open_lesson(a_lesson(2, id="two", visit=visit), "a" * 500)
    assert record_of(second).session_id == second.session_id


async def test_newer_progress_replaces_unsent_progress(ledger: Ledger, a_lesson: NewLesson) -> None:
    """An hour of outage leaves one row, the newest."""
    lesson = await ledger.open_lesson(a_lesson(), "")
    for words in range(1, 121):
        await ledger.save_progress(lesson, 1.0, Progress(words_learned=words), {})
        row = await ledger.next_entry(lesson.id)
        assert row is not None
        await ledger.mark_sending(row)
        await ledger.postpone(row, 0.0, maybe_delivered=True)
    [last] = await entry(ledger, lesson)
    assert Progress.model_validate_json(last.payload).words_learned == 120
    assert last.attempts > 1, "the pauses between attempts go on growing"


async def test_progress_that_was_replaced_in_flight_takes_nothing_with_it(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """The old one's arrival, delay or refusal says nothing about the new one."""
    lesson = await ledger.open_lesson(a_lesson(), "")
    await ledger.save_progress(lesson, 1.0, Progress(words_learned=1), {})
    old = await ledger.next_entry(lesson.id)
    assert old is not None
    await ledger.mark_sending(old)
    await ledger.save_progress(lesson, 2.0, Progress(words_learned=2), {})
    await ledger.dead_letter(old, "refused", 1.0)
    await ledger.postpone(old, 9e9, maybe_delivered=True)
    await ledger.mark_delivered(old)
    [new] = await entry(ledger, lesson)
    assert Progress.model_validate_json(new.payload).words_learned == 2
    assert (new.not_before, new.idempotency_key == old.idempotency_key) == (0.0, False)


async def test_a_lesson_closes_once_with_final_progress_before_its_record(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """Unsent ticks give way to the final progress, and a second close changes nothing."""
    lesson = await ledger.open_lesson(a_lesson(), "")
    await ledger.save_progress(lesson, 1.0, Progress(words_learned=1), {})
    for status in (Kind.COMPLETED, Kind.FAILED):
        await ledger.close_lesson(lesson, 5.0, status, Progress(words_learned=2), record_of(lesson))
    assert [row.kind for row in await entry(ledger, lesson)] == [Kind.COMPLETED, Kind.RECORD]
    assert await open_ids(ledger) == []


async def test_progress_after_a_lessons_end_changes_nothing(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """No progress is sent after the record."""
    lesson = await ledger.open_lesson(a_lesson(), "")
    await ledger.close_lesson(lesson, 5.0, Kind.FAILED, None, record_of(lesson))
    await ledger.save_progress(lesson, 9.0, Progress(words_learned=9), {})
    assert [row.kind for row in await entry(ledger, lesson)] == [Kind.RECORD]


async def test_a_lesson_without_progress_has_a_pending_record_only(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """No progress is invented."""
    lesson = await ledger.open_lesson(a_lesson(), "")
    await ledger.close_lesson(lesson, 5.0, Kind.FAILED, None, record_of(lesson))
    assert [row.kind for row in await entry(ledger, lesson)] == [Kind.RECORD]


async def test_a_row_set_aside_lets_the_rows_behind_it_go_on(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """Refused progress does not delay the record, and leaves the outbox."""
    lesson = await ledger.open_lesson(a_lesson(), "")
    await ledger.close_lesson(lesson, 5.0, Kind.COMPLETED, Progress(), record_of(lesson))
    first = await ledger.next_entry(lesson.id)
    assert first is not None
    await ledger.dead_letter(first, "400", 1.0)
    assert [row.kind for row in await entry(ledger, lesson)] == [Kind.RECORD]
    assert await ledger.pending_lessons() == {}


async def test_an_attempt_is_known_to_be_unsure_after_a_crash(
    make_database: NewDatabase, a_lesson: NewLesson
) -> None:
    """The mark is on disk before anything is sent."""
    async with Ledger.open(make_database()) as ledger:
        lesson = await ledger.open_lesson(a_lesson(), "")
        await ledger.close_lesson(lesson, 5.0, Kind.FAILED, None, record_of(lesson))
        row = await ledger.next_entry(lesson.id)
        assert row is not None
        await ledger.mark_sending(row)
    async with Ledger.open(make_database()) as ledger:
        await ledger.take_over(["conversation"])
        again = await ledger.next_entry(lesson.id)
    assert again is not None
    assert (again.attempts, again.maybe_delivered, again.idempotency_key) == (
        1,
        True,
        row.idempotency_key,
    )


async def test_a_transaction_that_fails_midway_leaves_nothing(
    ledger: Ledger, a_lesson: NewLesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lesson is not half closed: the record's row fails, so the lesson stays open."""
    lesson = await ledger.open_lesson(a_lesson(), "")
    record = record_of(lesson)
    other = await ledger.open_lesson(a_lesson(2), "")
    await ledger.close_lesson(other, 5.0, Kind.COMPLETED, None, record)
    clash = "UPDATE outbox SET idempotency_key = 'spoilt' WHERE kind = 'record'"
    await ledger._writer.write(lambda db: db.execute(clash))
    monkeypatch.setattr(updates, "uuid4", cycle(["fine", "spoilt"]).__next__)
    closing = asyncio.create_task(
        ledger.close_lesson(lesson, 5.0, Kind.COMPLETED, Progress(), record_of(lesson))
    )
    await asyncio.sleep(0.05)
    assert await open_ids(ledger) == [lesson.id]
    assert await ledger.next_entry(lesson.id) is None
    monkeypatch.undo()
    await closing
    assert [row.kind for row in await entry(ledger, lesson)] == [Kind.COMPLETED, Kind.RECORD]


async def test_what_was_begun_is_written_although_its_caller_was_cancelled(
    ledger: Ledger, a_lesson: NewLesson
) -> None:
    """Cancellation never leaves the disk in doubt."""
    lesson = await ledger.open_lesson(a_lesson(), "")
    closing = asyncio.create_task(
        ledger.close_lesson(lesson, 5.0, Kind.FAILED, None, record_of(lesson))
    )
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert await open_ids(ledger) == []


async def test_nobody_but_the_owner_can_read_the_ledger(
    tmp_path: Path, a_lesson: NewLesson
) -> None:
    """Learning data is private, whatever the umask, also in SQLite's files beside it."""
    path = tmp_path / "var" / "ledger.db"
    async with Ledger.open(SqliteDatabase(path)) as ledger:
        await ledger.open_lesson(a_lesson(), "")
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_second_host_cannot_open_the_same_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take the first one's running lessons for lost."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0.0}))
    path = tmp_path / "ledger.db"
    async with Ledger.open(SqliteDatabase(path)):
        with pytest.raises(LedgerError, match="another host has it open"):
            async with Ledger.open(SqliteDatabase(path)):
                pass
    async with Ledger.open(SqliteDatabase(path)) as ledger:
        assert await ledger.pending_lessons() == {}


@pytest.mark.parametrize("content", [b"no database " * 999, b"SQLite format 3\0" + b"\xff" * 4096])
async def test_a_file_that_is_no_ledger_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    """The error names the setting, the file and the hint."""
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=rf"ledger.path {path}: .*ledger"):
        async with Ledger.open(SqliteDatabase(path)):
            pass
    assert path.read_bytes() == content


async def test_a_path_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    """A file where a directory should be."""
    (tmp_path / "var").write_text("a file")
    with pytest.raises(LedgerError, match=r"ledger.path .*var/ledger.db"):
        async with Ledger.open(SqliteDatabase(tmp_path / "var" / "ledger.db")):
            pass


async def test_migrations_run_once_however_often_a_ledger_is_opened(tmp_path: Path) -> None:
    """Opening again changes nothing."""
    path = tmp_path / "ledger.db"
    for _ in range(3):
        async with Ledger.open(SqliteDatabase(path)) as ledger:
            assert await ledger.pending_lessons() == {}


async def test_a_full_disk_delays_pending_entries_and_refuses_new_lessons(
    tmp_path: Path, a_lesson: NewLesson
) -> None:
    """The change is written once there is space again."""
    database = SqliteDatabase(tmp_path / "ledger.db")
    async with Ledger.open(database, retry_every=0.01) as ledger:
        lesson = await ledger.open_lesson(a_lesson(), "")
        pages = database.raw.execute("PRAGMA page_count").fetchone()["page_count"]
        database.raw.execute(f"PRAGMA max_page_count = {pages}")
        closing = asyncio.create_task(
            ledger.close_lesson(lesson, 5.0, Kind.FAILED, None, record_of(lesson))
        )
        long_name = "t" * 20_000
        with pytest.raises(LedgerError, match="free some disk space"):
            await ledger.open_lesson(a_lesson(2, tutor=long_name), "")
        database.raw.execute("PRAGMA max_page_count = 9999")
        await closing
        assert [row.kind for row in await entry(ledger, lesson)] == [Kind.RECORD]
