"""The spool: no acknowledged update is lost while the ledger is unreachable."""

import asyncio
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.errors import LedgerError
from loqua_host.records.encryption import KeyRing, LedgerCipher
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.spool import Spool
from loqua_host.records.sqlite import SqliteDatabase
from loqua_host.records.updates import LessonProgress
from loqua_host.system.tasks import background

NewLesson = Callable[..., LessonRow]
KEY = "k" * 32


class Unreliable(SqliteDatabase):
    """A database that is unreachable when a test says so."""

    gone = False

    @contextmanager
    def transaction(self) -> Iterator[SqliteDatabase]:
        """Yield a transaction, or fail."""
        if self.gone:
            raise LedgerError("LEDGER_URL: connection refused; see that the server runs")
        with super().transaction() as database:
            yield database


@pytest.fixture
def database(tmp_path: Path) -> Unreliable:
    """Return a database that is in reach."""
    return Unreliable(tmp_path / "ledger.db")


def opened(database: Unreliable, tmp_path: Path) -> AbstractAsyncContextManager[Ledger]:
    """Open its ledger, with a spool."""
    return Ledger.open(database, keys=[KEY], spool=tmp_path / "spool", retry_every=0.01)


def tick(row: LessonRow, words: int) -> tuple[LessonRow, float, Progress, dict[str, Any]]:
    """Return what a job tells."""
    return row, 30.0 * words, Progress(words_learned=words), {"said": "manzana"}


async def close(ledger: Ledger, row: LessonRow, words: int) -> None:
    """Close a lesson."""
    record = SessionRecord(
        session_id=row.session_id, duration_minutes=1, overall_performance=Performance.GOOD
    )
    final = Progress(words_learned=words)
    await ledger.close_lesson(row, 5.0, Kind.COMPLETED, final, record)


async def sent(ledger: Ledger, row: LessonRow) -> list[tuple[str, int]]:
    """Take a lesson's entries off the outbox."""
    found = []
    while entry := await ledger.next_entry(row.id):
        words = 0
        if entry.kind is not Kind.RECORD:
            words = Progress.model_validate_json(entry.payload).words_learned
        found.append((entry.kind, words))
        await ledger.mark_delivered(entry)
    return found


async def test_lessons_go_on_without_the_ledger_and_are_written_when_it_is_back(
    database: Unreliable, tmp_path: Path, a_lesson: NewLesson
) -> None:
    """The last progress of each and its end, in order; a new lesson has to wait."""
    async with opened(database, tmp_path) as ledger:
        rows = [await ledger.open_lesson(a_lesson(number), "") for number in (1, 2)]
        database.gone = True
        with structlog.testing.capture_logs() as logs:
            for words in (1, 2, 3):
                for row in rows:
                    await ledger.save_progress(*tick(row, words))
            await close(ledger, rows[1], 4)
        assert {log["event"] for log in logs} == {"ledger.failed"}
        assert ledger.spooled == 3
        with pytest.raises(LedgerError):
            await ledger.open_lesson(a_lesson(3), "")
        with pytest.raises(LedgerError):
            await ledger.replay()
        database.gone = False
        await ledger.save_progress(*tick(rows[0], 5))
        assert ledger.spooled == 3, "later updates wait behind it"
        assert await ledger.replay() == 3
        assert ledger.spooled == 0
        assert await sent(ledger, rows[0]) == [("in_progress", 5)]
        assert await sent(ledger, rows[1]) == [("completed", 4), ("record", 0)]
        assert [file.name for file in (tmp_path / "spool").iterdir()] == []


async def test_progress_that_waits_is_sent_to_the_api_also_if_later_turns_bring_none(
    database: Unreliable, tmp_path: Path, a_lesson: NewLesson
) -> None:
    """The later update takes its place in the spool and in the outbox."""
    async with opened(database, tmp_path) as ledger:
        row = await ledger.open_lesson(a_lesson(1), "")
        database.gone = True
        await ledger.save_progress(*tick(row, 2))
        await ledger.save_progress(*tick(row, 2), send=False)
        database.gone = False
        await ledger.replay()
        entry = await ledger.next_entry(row.id)
        assert entry is not None
        await ledger.mark_delivered(entry)
        await ledger.save_progress(row, 90.0, None, {"card": 3}, send=False)
        assert await ledger.next_entry(row.id) is None


async def test_the_next_process_writes_what_a_killed_one_left_in_its_spool(
    database: Unreliable, tmp_path: Path, a_lesson: NewLesson
) -> None:
    """Before it takes the lessons for interrupted; nothing there says who learned what."""
    async with opened(database, tmp_path) as ledger:
        row = await ledger.open_lesson(a_lesson(1), "")
        database.gone = True
        await ledger.save_progress(*tick(row, 2))
        await close(ledger, row, 3)
        left = shutil.copytree(tmp_path / "spool", tmp_path / "left")
        modes = {stat.S_IMODE(file.stat().st_mode) for file in left.iterdir()}
        assert modes == {0o600}
        assert not any(
            word in file.read_bytes()
            for file in left.iterdir()
            for word in (b"manzana", b"words_learned", row.session_id.encode())
        )
        database.gone = False
    async with opened(database, tmp_path) as ledger:
        assert ledger.spooled == 2
        assert await ledger.replay() == 2
        await ledger.take_over(["conversation"])
        assert await ledger.interrupted() == []
        assert await sent(ledger, row) == [("completed", 3), ("record", 0)]


async def test_a_new_key_takes_over_what_waits_in_the_spool(
    database: Unreliable, tmp_path: Path, a_lesson: NewLesson
) -> None:
    """While the database is out of reach; its own rows follow when it is back."""
    new = "n" * 32
    async with opened(database, tmp_path) as ledger, background() as tasks:
        row = await ledger.open_lesson(a_lesson(1), "")
        database.gone = True
        await ledger.save_progress(*tick(row, 2))
        assert ledger.use_keys([new, KEY])
        await close(ledger, row, 3)
        resealing = tasks.create_task(ledger.reencrypt())
        while not all(it == LedgerCipher(new).key_id for it in keys_of(tmp_path / "spool")):  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
        assert not resealing.done()
        database.gone = False
        await resealing
    async with Ledger.open(database, keys=[new], spool=tmp_path / "spool") as ledger:
        assert await ledger.replay() == 2
        await ledger.take_over(["conversation"])
        assert await sent(ledger, row) == [("completed", 3), ("record", 0)]


def keys_of(spool: Path) -> list[str]:
    """Name the key that each note in a spool is sealed with."""
    notes = [file for file in spool.iterdir() if not file.name.startswith("new-")]
    assert len(notes) == 2
    return [note.read_text().partition("\n")[0] for note in notes]


async def test_a_note_that_is_replaced_while_it_is_written_waits_on(tmp_path: Path) -> None:
    """Its replacement is not deleted with it."""
    one, other = (
        LessonProgress(
            host="h", lesson="l", restarts=0, seconds=1, progress=Progress(), state={"n": n}
        )
        for n in (1, 2)
    )
    with Spool.open(tmp_path / "spool", KeyRing([KEY])) as spool:
        spool.add(one)
        [under_way] = spool.updates()
        spool.add(other)
        spool.remove(under_way)
        assert spool.updates() == [other]
    with Spool.open(tmp_path / "spool", KeyRing([KEY])) as spool:
        assert spool.updates() == [other]


async def test_a_spool_is_one_hosts_and_what_rots_in_it_costs_nothing_else(tmp_path: Path) -> None:
    """The error names the setting."""
    note = LessonProgress(
        host="h", lesson="l", restarts=0, seconds=1, progress=Progress(), state={}
    )
    with Spool.open(tmp_path / "spool", KeyRing([KEY])) as spool:
        spool.add(note)
        (tmp_path / "spool" / "rotten.end").write_text(f"{KeyRing([KEY]).current.key_id}\nAAAA")
        (tmp_path / "spool" / "new-half.end").write_text("")
        with (
            pytest.raises(LedgerError, match=r"ledger.spool .*: another host has it"),
            Spool.open(tmp_path / "spool", KeyRing([KEY])),
        ):
            pass
    opening = Spool.open(tmp_path / "spool", KeyRing([KEY]))
    with structlog.testing.capture_logs() as logs, opening as spool:
        assert spool.updates() == [note]
    assert [log["event"] for log in logs] == ["spool.unreadable"]
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(LedgerError, match=r"set ledger.spool elsewhere"),
        Spool.open(tmp_path / "file" / "spool", KeyRing([KEY])),
    ):
        pass


async def test_nothing_is_acknowledged_that_is_neither_in_the_ledger_nor_in_the_spool(
    database: Unreliable, tmp_path: Path, a_lesson: NewLesson
) -> None:
    """Both disks are full: the lesson waits for whichever is the first to take it."""
    async with opened(database, tmp_path) as ledger:
        row = await ledger.open_lesson(a_lesson(1), "")
        database.gone = True
        shutil.rmtree(tmp_path / "spool")
        closing = asyncio.create_task(close(ledger, row, 3))
        with structlog.testing.capture_logs() as logs:
            async with asyncio.timeout(30):
                while {log["event"] for log in logs} != {"ledger.failed", "spool.failed"}:  # noqa: ASYNC110  # a thread writes
                    await asyncio.sleep(0.01)
        assert not closing.done()
        database.gone = False
        await closing
        assert await sent(ledger, row) == [("completed", 3), ("record", 0)]
