"""Migrations: an older ledger is migrated, a newer one is left alone."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from loqua_host.contract.records import Progress
from loqua_host.errors import LedgerError
from loqua_host.records import postgres, sqlite
from loqua_host.records.admin import LedgerAdmin
from loqua_host.records.database import Database
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.migrations import Migration, load_migrations, read_migrations
from loqua_host.records.postgres import PostgresDatabase
from loqua_host.records.session_record import compose_record

MakeDatabase = Callable[[], Database]
NewLesson = Callable[..., LessonRow]
NOW = len(sqlite.MIGRATIONS)
"""The version of this loqua-host."""

COLUMN = "ALTER TABLE lesson ADD COLUMN mood TEXT NOT NULL DEFAULT 'merry; -- still one statement';"


@pytest.fixture
def extend(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what adds migrations to those of both databases, as a later loqua-host has them."""

    def add(*scripts: str) -> None:
        for module in (sqlite, postgres):
            later = enumerate(scripts, start=len(module.MIGRATIONS) + 1)
            added = (Migration(version, script) for version, script in later)
            monkeypatch.setattr(module, "MIGRATIONS", (*module.MIGRATIONS, *added))

    return add


async def fill(ledger: Ledger, a_lesson: NewLesson) -> None:
    """Leave an open lesson with progress, and a closed one with a dead letter and a record."""
    running = await ledger.open_lesson(a_lesson(1), "")
    await ledger.save_progress(running, 1.0, Progress(words_learned=3), {})
    closed = await ledger.open_lesson(a_lesson(2), "")
    record = compose_record(closed, None, 60).record
    await ledger.close_lesson(closed, 5.0, Kind.COMPLETED, Progress(), record)
    entry = await ledger.next_entry(closed.id)
    assert entry is not None
    await ledger.dead_letter(entry, "refused long ago", 10.0)


def read(database: Database, text: str) -> list[object]:
    """Return the first value of each row, as a process beside the host reads it."""
    database.open_existing()
    try:
        with database.transaction() as db:
            return [next(iter(row.values())) for row in db.execute(text).fetchall()]
    finally:
        database.close()


def versions(database: Database) -> list[object]:
    """Return the versions that a database was migrated to."""
    return read(database, "SELECT version FROM schema_version ORDER BY version")


async def test_an_older_host_goes_on_while_a_newer_one_migrates_the_ledger(
    postgres_url: str, a_lesson: NewLesson, extend: Callable[..., None]
) -> None:
    """Hosts are replaced one after another; the older ones neither stop nor lose anything."""
    async with Ledger.open(PostgresDatabase(postgres_url), keys=["k" * 32]) as old:
        row = await old.open_lesson(a_lesson(1), "")
        extend(COLUMN)
        async with Ledger.open(PostgresDatabase(postgres_url), keys=["k" * 32]) as new:
            await old.save_progress(row, 1.0, Progress(words_learned=1), {})
            await old.open_lesson(a_lesson(2), "")
            assert await new.take_over(["conversation"]) == 0
            assert await old.take_over(["conversation"]) == 0
            await old.interrupt(row)
            resumed = await new.open_lesson(a_lesson(1), "")
        assert (resumed.id, resumed.progress) == (row.id, Progress(words_learned=1))
        assert [lost.id for lost in await old.interrupted()] == []


async def test_a_ledger_of_the_version_before_is_migrated_with_all_it_holds(
    make_database: MakeDatabase, a_lesson: NewLesson, extend: Callable[..., None]
) -> None:
    """By all that is pending, each once, however often the host is started."""
    async with Ledger.open(make_database(), keys=["k" * 32]) as ledger:
        await fill(ledger, a_lesson)
    extend(COLUMN, "UPDATE lesson SET mood = 'calm' WHERE closed_at IS NOT NULL;")
    for _ in range(2):
        async with Ledger.open(make_database(), keys=["k" * 32]) as ledger:
            await ledger.take_over(["conversation"])
            record = await ledger.next_entry("lesson2")
    assert record is not None
    assert record.kind is Kind.RECORD
    assert versions(make_database()) == [*range(1, NOW + 3)]
    moods = read(make_database(), "SELECT mood FROM lesson ORDER BY id")
    assert moods == ["merry; -- still one statement", "calm"]
    with LedgerAdmin.open(make_database(), ["k" * 32]) as admin:
        reasons = [entry.dead_reason for entry in admin.entries()]
        assert reasons == [None, "refused long ago", None]
        assert len(admin.export("maria")) == 2


async def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    make_database: MakeDatabase,
    a_lesson: NewLesson,
    extend: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also what the migrations before it in the same start did; the version before runs on."""
    async with Ledger.open(make_database()) as ledger:
        await fill(ledger, a_lesson)
    extend(COLUMN, "CREATE TABLE half (id INTEGER); DELETE FROM no_such_table;")
    with pytest.raises(LedgerError, match="no_such_table"):
        async with Ledger.open(make_database()):
            pass
    monkeypatch.undo()
    assert versions(make_database()) == [*range(1, NOW + 1)]
    async with Ledger.open(make_database()) as ledger:
        assert await ledger.take_over(["conversation"]) == 2
    extend(COLUMN, "CREATE TABLE half (id INTEGER);")
    async with Ledger.open(make_database()):
        pass
    assert versions(make_database()) == [*range(1, NOW + 3)]


async def test_a_ledger_of_a_newer_host_is_refused_by_name_and_left_alone(
    make_database: MakeDatabase, extend: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a host and by a command beside it: its rows may mean something else."""
    extend(COLUMN)
    async with Ledger.open(make_database()):
        pass
    monkeypatch.undo()
    newer = rf"(ledger\.path .*|LEDGER_URL): a newer .* wrote it \(schema version {NOW + 1}; this"
    with pytest.raises(LedgerError, match=newer):
        async with Ledger.open(make_database()):
            pass
    with pytest.raises(LedgerError, match=newer), LedgerAdmin.open(make_database()):
        pass


async def test_tables_that_no_migration_made_are_left_alone(make_database: MakeDatabase) -> None:
    """They are another program's, or of a version that numbered nothing; the error says so."""
    async with Ledger.open(make_database()) as ledger:
        await ledger._writer.write(lambda db: db.execute("DROP TABLE schema_version"))
    hint = "(file not there yet|nothing else has used)"
    with pytest.raises(LedgerError, match=rf"already exists.*; .*{hint}"):
        async with Ledger.open(make_database()):
            pass


async def test_a_command_leaves_an_older_ledger_to_the_host(
    make_database: MakeDatabase, extend: Callable[..., None]
) -> None:
    """Only a host migrates: no other process writes to the ledger meanwhile."""
    async with Ledger.open(make_database()):
        pass
    extend(COLUMN)
    older = f"has schema version {NOW}, and this loqua-host needs {NOW + 1}; start the host once"
    with pytest.raises(LedgerError, match=older), LedgerAdmin.open(make_database()):
        pass


@pytest.mark.parametrize("level", ["read committed", "serializable"], ids=["usual", "strict"])
async def test_hosts_that_start_at_once_migrate_once(postgres_url: str, level: str) -> None:
    """This holds for any default isolation of the server."""
    option = f"-c%20default_transaction_isolation%3D{level.replace(' ', '%5C%20')}"
    databases = [PostgresDatabase(_with_option(postgres_url, option)) for _ in range(8)]
    await asyncio.gather(*(asyncio.to_thread(database.open) for database in databases))
    for database in databases:
        database.close()
    assert versions(databases[0]) == [*range(1, NOW + 1)]


def _with_option(url: str, option: str) -> str:
    """Return a URL with one more option for the server, beside the schema's."""
    assert "options=" in url
    return url.replace("options=", f"options={option}%20", 1)


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_both_databases_have_the_same_migrations(database: str) -> None:
    """Each has the same number in both."""
    assert len(load_migrations(database)) == len(sqlite.MIGRATIONS) == len(postgres.MIGRATIONS)


@pytest.mark.parametrize(
    "names",
    [["0002_later.sql"], ["0001_one.sql", "0003_three.sql"], ["0001_one.sql", "0001_two.sql"]],
    ids=["no first", "a gap", "a number twice"],
)
def test_migrations_are_numbered_without_a_gap(tmp_path: Path, names: list[str]) -> None:
    """The file is named, with the number that it should have."""
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match=rf"{names[-1]}: expected a migration 000\d_"):
        read_migrations(tmp_path)
