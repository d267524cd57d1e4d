"""Bring a ledger to its newest key, so that the one before can be thrown away."""

import structlog

from .database import Connection, Database, Row
from .seal import Keyring, Sealing

__all__ = ["reseal"]

log = structlog.get_logger()

AT_ONCE = 500
"""Lessons in one transaction."""

LESSON = ("user_id", "progress", "state", "because")


def reseal(database: Database, keyring: Keyring) -> None:
    """Seal with the current key all that is sealed with another one, or not at all.

    A lesson and its rows always have one key, also when this is interrupted.

    Raises:
        LedgerError: If something is sealed with a key that is not there.
    """
    done = 0
    while some := _reseal_some(database, keyring):
        done += some
    if done:
        log.info("ledger.resealed", lessons=done, key_id=keyring.current.key_id)


def _reseal_some(database: Database, keyring: Keyring) -> int:
    new = keyring.current
    with database.transaction() as db:
        some = db.execute(
            "SELECT * FROM lesson WHERE key_id < ? OR key_id > ? LIMIT ? FOR UPDATE",
            (new.key_id, new.key_id, AT_ONCE),
        ).fetchall()
        for lesson in some:
            _reseal(db, lesson, keyring.of(lesson["key_id"]), new)
    return len(some)


def _reseal(db: Connection, lesson: Row, old: Sealing, new: Sealing) -> None:
    one = lesson["id"]

    def again(text: str | None, what: str) -> str | None:
        return None if text is None else new.seal(old.open(text, f"{one}.{what}"), f"{one}.{what}")

    mark = new.mark(old.open(lesson["user_id"], f"{one}.user_id"))
    db.execute(
        "UPDATE lesson SET user_id = ?, progress = ?, state = ?, because = ?, user_mark = ?,"
        " key_id = ? WHERE id = ?",
        (*(again(lesson[what], what) for what in LESSON), mark, new.key_id, one),
    )
    for row in db.execute("SELECT * FROM owed WHERE lesson = ?", (one,)).fetchall():
        db.execute(
            "UPDATE owed SET payload = ?, dead_because = ? WHERE id = ?",
            (
                again(row["payload"], row["kind"]),
                again(row["dead_because"], f"{row['kind']}.dead_because"),
                row["id"],
            ),
        )
