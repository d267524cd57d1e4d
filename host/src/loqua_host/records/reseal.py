"""Bring a ledger to its newest key, so that the one before can be thrown away."""

import sqlite3

import structlog

from .seal import Keyring, Sealing

__all__ = ["reseal"]

log = structlog.get_logger()

AT_ONCE = 500
"""Lessons in one transaction."""

LESSON = ("user_id", "progress", "state", "because")


def reseal(database: sqlite3.Connection, keyring: Keyring) -> None:
    """Seal with the current key all that is sealed with another one, or not at all.

    A lesson and its rows always have one key, also when this is interrupted.

    Raises:
        LedgerError: If something is sealed with a key that is not there.
    """
    done = 0
    while some := _stale(database, keyring.current.key_id):
        with database:
            for lesson in some:
                _reseal(database, lesson, keyring.of(lesson["key_id"]), keyring.current)
        done += len(some)
    if done:
        log.info("ledger.resealed", lessons=done, key_id=keyring.current.key_id)


def _stale(database: sqlite3.Connection, key_id: str) -> list[sqlite3.Row]:
    return database.execute(
        "SELECT * FROM lesson WHERE key_id < ? OR key_id > ? LIMIT ?", (key_id, key_id, AT_ONCE)
    ).fetchall()


def _reseal(database: sqlite3.Connection, lesson: sqlite3.Row, old: Sealing, new: Sealing) -> None:
    one = lesson["id"]

    def again(text: str | None, what: str) -> str | None:
        return None if text is None else new.seal(old.open(text, f"{one}.{what}"), f"{one}.{what}")

    user_id = old.open(lesson["user_id"], f"{one}.user_id")
    database.execute(
        "UPDATE lesson SET user_id = ?, progress = ?, state = ?, because = ?, user_mark = ?,"
        " key_id = ? WHERE id = ?",
        (*(again(lesson[what], what) for what in LESSON), new.mark(user_id), new.key_id, one),
    )
    for row in database.execute("SELECT * FROM owed WHERE lesson = ?", (one,)).fetchall():
        database.execute(
            "UPDATE owed SET payload = ?, dead_because = ? WHERE id = ?",
            (
                again(row["payload"], row["kind"]),
                again(row["dead_because"], f"{row['kind']}.dead_because"),
                row["id"],
            ),
        )
