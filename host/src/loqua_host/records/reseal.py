"""Bring a ledger to its newest key, so that the one before can be thrown away."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from loqua_host.errors import SealError

from .database import Connection, Row
from .seal import Keyring, Sealing
from .spool import Spool

__all__ = ["reseal", "reseal_spool"]

log = structlog.get_logger()

AT_ONCE = 100
"""Lessons in one transaction: what running lessons have to write waits for no more than these."""

LESSON = ("user_id", "progress", "state", "because")

Transact = Callable[[Callable[[Connection], int]], Awaitable[int]]


async def reseal(transact: Transact, keyring: Keyring) -> int:
    """Seal with the current key all that is sealed otherwise; gives how many lessons that were.

    A lesson and its rows always have one key, also when this is interrupted.

    Args:
        transact: Does a piece of work in a transaction; others get their turn in between.
        keyring: The keys.

    Raises:
        LedgerError: If something is sealed with a key that is not there, or `transact` says so.
    """
    done = 0
    while some := await transact(lambda db: _reseal_some(db, keyring)):
        done += some
    return done


async def reseal_spool(spool: Spool, retry_every: float) -> None:
    """Seal with the current key what waits in the spool, as soon as its disk lets it be done."""
    while True:
        try:
            await asyncio.to_thread(spool.reseal)
        except OSError as error:
            log.error("spool.failed", why=str(error), again_in=retry_every)
        else:
            return
        await asyncio.sleep(retry_every)


def _reseal_some(db: Connection, keyring: Keyring) -> int:
    new = keyring.current
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
        return None if text is None else _sealed_anew(text, f"{one}.{what}", old, new)

    db.execute(
        "UPDATE lesson SET user_id = ?, progress = ?, state = ?, because = ?, user_mark = ?,"
        " key_id = ? WHERE id = ?",
        (*(again(lesson[what], what) for what in LESSON), _mark(lesson, old, new), new.key_id, one),
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


def _sealed_anew(text: str, place: str, old: Sealing, new: Sealing) -> str:
    try:
        return new.seal(old.open(text, place), place)
    except SealError as error:
        # Nobody can read it, so that it may stay as it is; the others have to go on.
        log.error("ledger.unreadable", why=str(error))
        return text


def _mark(lesson: Row, old: Sealing, new: Sealing) -> str:
    try:
        return new.mark(old.open(lesson["user_id"], f"{lesson['id']}.user_id"))
    except SealError:
        return str(lesson["user_mark"])
