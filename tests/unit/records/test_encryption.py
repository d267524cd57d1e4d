"""Encryption of the ledger: unreadable files, and key rotation without losses."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.errors import LedgerError
from loqua_host.records import reencryption
from loqua_host.records.admin import LedgerAdmin
from loqua_host.records.encryption import KeyRing, LedgerCipher
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.sqlite import SqliteDatabase
from loqua_host.system.tasks import background

NewLesson = Callable[..., LessonRow]
OLD, NEW = "old-" * 8, "new-" * 8


async def fill(ledger: Ledger, a_lesson: NewLesson, number: int = 1) -> None:
    """Write every kind of data to the ledger."""
    row = await ledger.open_lesson(a_lesson(number, user_id="Mariana"), "")
    progress = Progress(words_learned=7, grammar_points=("subjunctive",))
    await ledger.save_progress(row, 1.0, progress, {"said": "manzana"})
    record = SessionRecord(
        session_id=row.session_id,
        duration_minutes=1,
        topics_covered=("hospital",),
        overall_performance=Performance.GOOD,
    )
    await ledger.close_lesson(row, 5.0, Kind.COMPLETED, progress, record, ["sus palabras"])
    first = await ledger.next_entry(row.id)
    assert first is not None
    await ledger.dead_letter(first, "Mariana is not known", 1.0)
    await ledger.open_lesson(a_lesson(number + 1000, user_id="Mariana"), "")


async def keys_of(ledger: Ledger, *lessons: str) -> list[str]:
    """Name the key that each lesson is sealed with."""
    text = "SELECT key_id FROM lesson WHERE id = :id"
    return [
        await ledger._writer.write(
            lambda db, one=one: db.execute(text, {"id": one}).fetchone()["key_id"]
        )
        for one in lessons
    ]


async def assert_whole(ledger: Ledger, numbers: int = 1, *, running: int = 0) -> None:
    """Assert that all given values are there."""
    await ledger.take_over(["conversation"])
    for number in range(1, numbers + 1):
        entry = await ledger.next_entry(f"lesson{number}")
        assert entry is not None
        assert entry.lesson.user_id == "Mariana"
        assert entry.lesson.state == {"said": "manzana"}
        assert entry.lesson.progress == Progress(words_learned=7, grammar_points=("subjunctive",))
        record = SessionRecord.model_validate_json(entry.payload)
        assert record.topics_covered == ("hospital",)
    await ledger._writer.write(lambda db: db.execute("DELETE FROM claim"))
    assert len(await ledger.interrupted()) == numbers + running


def contents(directory: Path) -> bytes:
    """Return what is in all files there."""
    return b"".join(file.read_bytes() for file in directory.iterdir())


@given(text=st.text(), field=st.text())
def test_a_text_comes_back_and_never_looks_the_same_twice(text: str, field: str) -> None:
    """Two equal progresses cannot be seen to be equal; their blind indexes can."""
    cipher, same, other = LedgerCipher(OLD), LedgerCipher(OLD), LedgerCipher(NEW)
    first, second = cipher.encrypt(text, field), cipher.encrypt(text, field)
    assert cipher.decrypt(first, field) == cipher.decrypt(second, field) == text
    assert first != second
    assert cipher.blind_index(text) == same.blind_index(text) != other.blind_index(text)


@pytest.mark.parametrize(
    "tampered",
    [
        lambda cipher: (LedgerCipher(NEW), cipher.encrypt("text", "a"), "a"),
        lambda cipher: (cipher, cipher.encrypt("text", "a"), "b"),
        lambda cipher: (cipher, cipher.encrypt("text", "a")[:-4] + "AAAA", "a"),
        lambda cipher: (cipher, "text", "a"),
        lambda cipher: (cipher, "", "a"),
    ],
    ids=["another key", "another field", "changed", "plaintext", "empty"],
)
def test_what_was_changed_or_moved_is_not_believed(
    tampered: Callable[[LedgerCipher], tuple[LedgerCipher, str, str]],
) -> None:
    """A row cannot be given to another learner behind the host's back."""
    cipher, text, field = tampered(LedgerCipher(OLD))
    with pytest.raises(LedgerError, match="was modified"):
        cipher.decrypt(text, field)


def test_printing_a_key_does_not_show_it() -> None:
    """Neither its repr nor its id contains it."""
    cipher = LedgerCipher(OLD)
    assert OLD not in repr(cipher) + cipher.key_id + repr(vars(KeyRing([OLD])))


async def test_the_files_say_nothing_of_a_learner(tmp_path: Path, a_lesson: NewLesson) -> None:
    """This includes the files that SQLite keeps beside the database."""
    async with Ledger.open(SqliteDatabase(tmp_path / "ledger.db"), keys=[OLD]) as ledger:
        await fill(ledger, a_lesson)
        await assert_whole(ledger)
        written = contents(tmp_path)
    written += contents(tmp_path)
    for said in (
        b"Mariana",
        b"manzana",
        b"subjunctive",
        b"hospital",
        b"palabras",
        b"words_learned",
    ):
        assert said not in written


@pytest.mark.parametrize("before", [[], [OLD]], ids=["plaintext", "old key"])
async def test_a_new_key_takes_over_everything_at_the_first_start(
    tmp_path: Path, a_lesson: NewLesson, before: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Afterwards the old one is of no use, and nothing was lost."""
    monkeypatch.setattr(reencryption, "LESSONS_AT_ONCE", 3)
    path = tmp_path / "ledger.db"
    async with Ledger.open(SqliteDatabase(path), keys=before) as ledger:
        for number in range(1, 6):
            await fill(ledger, a_lesson, number)
    async with Ledger.open(SqliteDatabase(path), keys=[NEW, *before]) as ledger:
        await assert_whole(ledger, 5)
    async with Ledger.open(SqliteDatabase(path), keys=[NEW]) as ledger:
        await assert_whole(ledger, 5)
    assert b"Mariana" not in path.read_bytes()


async def test_a_rotation_that_was_cut_short_goes_on_at_the_next_start(
    tmp_path: Path, a_lesson: NewLesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each lesson and its rows have one key at any time."""
    monkeypatch.setattr(reencryption, "LESSONS_AT_ONCE", 1)
    path = tmp_path / "ledger.db"
    async with Ledger.open(SqliteDatabase(path), keys=[OLD]) as ledger:
        for number in range(1, 4):
            await fill(ledger, a_lesson, number)
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE seen (id INTEGER)")
        database.execute(
            "CREATE TRIGGER cut BEFORE UPDATE OF key_id ON lesson"
            " WHEN (SELECT count(*) FROM seen) = 2 BEGIN SELECT RAISE(ABORT, 'cut'); END"
        )
        database.execute(
            "CREATE TRIGGER saw AFTER UPDATE OF key_id ON lesson"
            " BEGIN INSERT INTO seen VALUES (1); END"
        )
    with pytest.raises(LedgerError, match="cut"):
        async with Ledger.open(SqliteDatabase(path), keys=[NEW, OLD]):
            pass
    database.execute("DROP TRIGGER cut")
    database.close()
    async with Ledger.open(SqliteDatabase(path), keys=[NEW, OLD]) as ledger:
        await assert_whole(ledger, 3)


async def test_a_new_key_takes_over_under_running_lessons(
    tmp_path: Path, a_lesson: NewLesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New rows have it at once, old ones are readable all the time and get it batch by batch."""
    monkeypatch.setattr(reencryption, "LESSONS_AT_ONCE", 1)
    path = tmp_path / "ledger.db"
    async with Ledger.open(SqliteDatabase(path), keys=[OLD]) as ledger:
        for number in range(1, 4):
            await fill(ledger, a_lesson, number)
        running = await ledger.open_lesson(a_lesson(500), "")
        assert ledger.use_keys([NEW, OLD])
        assert not ledger.use_keys([NEW, OLD])
        await fill(ledger, a_lesson, 4)
        assert await keys_of(ledger, "lesson3", "lesson4") == [
            LedgerCipher(OLD).key_id,
            LedgerCipher(NEW).key_id,
        ]
        async with background() as tasks:
            resealing = tasks.create_task(ledger.reencrypt())
            for words in range(1, 5):
                progress = Progress(words_learned=words)
                await ledger.save_progress(running, 1.0, progress, {"said": "manzana"})
            await resealing
        await assert_whole(ledger, 4, running=1)
    async with Ledger.open(SqliteDatabase(path), keys=[NEW]) as ledger:
        await assert_whole(ledger, 4, running=1)
        entry = await ledger.next_entry(running.id)
    assert entry is not None
    assert Progress.model_validate_json(entry.payload).words_learned == 4


async def test_a_key_that_follows_another_at_once_reads_what_the_first_one_encrypted(
    tmp_path: Path, a_lesson: NewLesson
) -> None:
    """A secret source has one previous value only."""
    path = tmp_path / "ledger.db"
    async with Ledger.open(SqliteDatabase(path), keys=["first-" * 8]) as ledger:
        await fill(ledger, a_lesson)
        assert ledger.use_keys([OLD, "first-" * 8])
        assert ledger.use_keys([NEW, OLD])
        await ledger.reencrypt()
    async with Ledger.open(SqliteDatabase(path), keys=[NEW]) as ledger:
        await assert_whole(ledger)


async def test_what_was_changed_does_not_keep_the_rest_from_a_new_key(
    tmp_path: Path, a_lesson: NewLesson
) -> None:
    """It stays unreadable, and the host starts."""
    path = tmp_path / "ledger.db"
    async with Ledger.open(SqliteDatabase(path), keys=[OLD]) as ledger:
        for number in (1, 2):
            await fill(ledger, a_lesson, number)
        rot = "UPDATE lesson SET user_id = 'AAAA', state = 'AAAA' WHERE id = 'lesson2'"
        await ledger._writer.write(lambda db: db.execute(rot))
    with structlog.testing.capture_logs() as logs:
        async with Ledger.open(SqliteDatabase(path), keys=[NEW, OLD]) as ledger:
            assert await keys_of(ledger, "lesson1", "lesson2") == [LedgerCipher(NEW).key_id] * 2
    assert [log["why"] for log in logs if log["event"] == "ledger.unreadable"] == [
        "lesson2.user_id: was modified by another program",
        "lesson2.state: was modified by another program",
    ]
    with LedgerAdmin.open(SqliteDatabase(path), [NEW]) as admin:
        [whole] = admin.export("Mariana")[:1]
    assert "subjunctive" in str(whole)


async def test_a_lesson_is_resumed_by_no_other_learner_whatever_its_blind_index_says(
    tmp_path: Path, a_lesson: NewLesson
) -> None:
    """A writer to the database can copy a blind index, but not the encrypted learner."""
    async with Ledger.open(SqliteDatabase(tmp_path / "ledger.db"), keys=[OLD]) as ledger:
        hers = a_lesson(1, user_id="Mariana")
        await ledger.interrupt(await ledger.open_lesson(hers, ""))
        text = "UPDATE lesson SET user_blind_index = :otto"
        values = {"otto": LedgerCipher(OLD).blind_index("Otto")}
        await ledger._writer.write(lambda db: db.execute(text, values))
        his = replace(hers, id="lesson2", user_id="Otto", visit="another")
        with structlog.testing.capture_logs() as logs:
            opened = await ledger.open_lesson(his, "")
    assert (opened.id, opened.user_id) == ("lesson2", "Otto")
    assert [line["event"] for line in logs] == ["lesson.unreadable"]


@pytest.mark.parametrize("plaintext", [True, False])
async def test_plaintext_is_trusted_outside_production_alone(
    tmp_path: Path, a_lesson: NewLesson, *, plaintext: bool
) -> None:
    """There, somebody else than a host wrote it: hosts have a key from their first start on."""
    path = tmp_path / "ledger.db"
    async with Ledger.open(SqliteDatabase(path)) as ledger:
        await fill(ledger, a_lesson)
    opening = Ledger.open(SqliteDatabase(path), keys=[NEW], plaintext=plaintext)
    if plaintext:
        async with opening as ledger:
            await assert_whole(ledger)
    else:
        with pytest.raises(LedgerError, match="something is not encrypted"):
            await opening.__aenter__()


@pytest.mark.parametrize("keys", [[], [NEW]], ids=["no key", "another key"])
async def test_a_ledger_under_a_key_that_is_not_here_is_left_alone(
    tmp_path: Path, a_lesson: NewLesson, keys: list[str]
) -> None:
    """The host does not start; with the key it does, and finds everything."""
    path = tmp_path / "ledger.db"
    async with Ledger.open(SqliteDatabase(path), keys=[OLD]) as ledger:
        await fill(ledger, a_lesson)
    with pytest.raises(LedgerError, match="set LEDGER_KEY_PREVIOUS"):
        async with Ledger.open(SqliteDatabase(path), keys=keys):
            pass
    async with Ledger.open(SqliteDatabase(path), keys=[OLD]) as ledger:
        await assert_whole(ledger)


async def test_what_was_changed_is_a_dead_letter_and_holds_nothing_else_up(
    tmp_path: Path, a_lesson: NewLesson
) -> None:
    """A rotten bit costs its own row: an error in the log, and the rows behind it go on."""
    async with Ledger.open(SqliteDatabase(tmp_path / "ledger.db"), keys=[OLD]) as ledger:
        row = await ledger.open_lesson(a_lesson(1), "")
        record = SessionRecord(
            session_id=row.session_id, duration_minutes=1, overall_performance=Performance.GOOD
        )
        await ledger.close_lesson(row, 5.0, Kind.COMPLETED, Progress(), record)
        await ledger.open_lesson(a_lesson(2), "")
        await ledger.open_lesson(a_lesson(3), "")
        for change in (
            "UPDATE outbox SET payload = 'AAAA' WHERE kind = 'completed'",
            "UPDATE lesson SET user_id = 'AAAA' WHERE id = 'lesson2'",
            "UPDATE lesson SET reasons = 'AAAA' WHERE id = 'lesson1'",
            "DELETE FROM claim",
        ):
            await ledger._writer.write(lambda db, change=change: db.execute(change))
        with structlog.testing.capture_logs() as logs:
            entry = await ledger.next_entry(row.id)
            found = await ledger.interrupted()
        backlog = await ledger.backlog()
    assert entry is not None
    assert entry.kind is Kind.RECORD
    assert [lesson.id for lesson in found] == ["lesson3"]
    assert [log["event"] for log in logs] == ["progress.dead", "lesson.unreadable"]
    assert (backlog.dead, backlog.records) == (1, 1)
    with LedgerAdmin.open(SqliteDatabase(tmp_path / "ledger.db"), [OLD]) as admin:
        dead, _ = admin.entries()
        whole: Any = admin.explain(row.session_id)
    assert "completed: was modified" in str(dead.dead_reason)
    [entry] = [entry for entry in whole["undelivered"] if entry["kind"] == "completed"]
    assert whole["reasons"] == entry["payload"] == "(unreadable: modified by another program)"
