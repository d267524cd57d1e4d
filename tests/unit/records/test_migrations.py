"""Migrations: a ledger of any earlier version is brought to the newest form with all it holds."""

import sqlite3
import time
from pathlib import Path

import pytest

from loqua_host.contract.records import Progress
from loqua_host.records.archive import Archive
from loqua_host.records.ledger import Kind, Ledger
from loqua_host.records.sqlite import MIGRATIONS, SqliteDatabase


def write_old(path: Path, version: int) -> None:
    """Write a ledger as an earlier version did: an open lesson, and a closed one that owes."""
    database = sqlite3.connect(path)
    for script in MIGRATIONS[:version]:
        database.executescript(script)
    database.execute(f"PRAGMA user_version = {version}")
    columns = (
        "id, session_id, visit, user_id, room, tutor, agent_id, opened_at, progress, closed_at"
    )
    database.executemany(
        f"INSERT INTO lesson ({columns}) VALUES (?, ?, 'v', 'Mariana', 'r', 't', 'a', 1, ?, ?)",  # noqa: S608  # a constant
        [
            ("open", "s1", Progress(words_learned=3).model_dump_json(), None),
            ("closed", "s2", None, 5.0),
        ],
    )
    if version > 2:
        database.execute("UPDATE lesson SET user_mark = user_id")
    database.executemany(
        "INSERT INTO owed (lesson, kind, key, payload, attempts, unsure, dead_because)"
        " VALUES ('closed', ?, ?, ?, 4, 1, ?)",
        [
            ("completed", "k1", Progress().model_dump_json(), "refused long ago"),
            ("record", "k2", '{"session_id": "s2"}', None),
        ],
    )
    database.commit()
    database.close()


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
@pytest.mark.parametrize("keys", [[], ["k" * 32]], ids=["plain", "sealed"])
async def test_a_ledger_of_an_earlier_version_keeps_all_it_holds(
    tmp_path: Path, version: int, keys: list[str]
) -> None:
    """Lessons, what is owed with its key and doubt, and what was refused."""
    path = tmp_path / "ledger.db"
    write_old(path, version)
    async with Ledger.open(SqliteDatabase(path), keys=keys) as ledger:
        assert await ledger.adopt(["conversation"]) == 2
        [lesson] = await ledger.interrupted()
        owed = await ledger.next_owed("closed")
        kept = await ledger.purge(
            delivered_before=0.0, dead_before=time.time() - 60, unknown_before=0.0
        )
    assert (lesson.user_id, lesson.progress) == ("Mariana", Progress(words_learned=3))
    assert owed is not None
    assert (owed.kind, owed.key, owed.payload) == (Kind.RECORD, "k2", '{"session_id": "s2"}')
    assert (owed.attempts, owed.unsure) == (4, True)
    assert kept.dead == 0, "its time begins with the migration"
    with Archive.open(SqliteDatabase(path), keys) as archive:
        assert [letter.dead_because for letter in archive.letters()] == ["refused long ago", None]
        assert len(archive.export("Mariana")) == 2
    assert (b"Mariana" in path.read_bytes()) is (keys == [])
