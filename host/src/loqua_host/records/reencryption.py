"""Re-encryption of a ledger with its current key, so that the previous one can be removed."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from loqua_host.errors import DecryptionError

from .database import DatabaseConnection, Row
from .encryption import Cipher, KeyRing
from .queries import QUERIES
from .spool import Spool

__all__ = ["reencrypt", "reencrypt_spool"]

log = structlog.get_logger()

LESSONS_AT_ONCE = 100
"""Maximum of lessons in one transaction, for which updates of running lessons wait."""

LESSON_FIELDS = ("user_id", "progress", "state", "reasons", "handback")

Transact = Callable[[Callable[[DatabaseConnection], int]], Awaitable[int]]


async def reencrypt(transact: Transact, keys: KeyRing) -> int:
    """Re-encrypt all data that has another key; return the number of lessons.

    Args:
        transact: Runs work in a transaction; other work runs in between.
        keys: The keys.

    Raises:
        LedgerError: If data is encrypted with an unknown key, or `transact` raises it.
    """
    done = 0
    while some := await transact(lambda db: _reencrypt_some(db, keys)):
        done += some
    return done


async def reencrypt_spool(spool: Spool, retry_every: float) -> None:
    """Re-encrypt the spool with the current key, with retries."""
    while True:
        try:
            await asyncio.to_thread(spool.reencrypt)
        except OSError as error:
            log.error("spool.failed", why=str(error), again_in=retry_every)
        else:
            return
        await asyncio.sleep(retry_every)


def _reencrypt_some(db: DatabaseConnection, keys: KeyRing) -> int:
    """Re-encrypt lessons with their entries in one transaction, so that both have one key.

    The lock on a lesson excludes writers with its old key (`lock_lesson`, `lock_lesson_key`).
    """
    new = keys.current
    values = {"key_id": new.key_id, "limit": LESSONS_AT_ONCE}
    lessons = db.execute(QUERIES["lock_lessons_of_other_keys"], values).fetchall()
    for lesson in lessons:
        _reencrypt(db, lesson, keys.cipher(lesson["key_id"]), new)
    return len(lessons)


def _reencrypt(db: DatabaseConnection, row: Row, old: Cipher, new: Cipher) -> None:
    lesson = row["id"]

    def again(text: str | None, field: str) -> str | None:
        return None if text is None else _encrypt_again(text, f"{lesson}.{field}", old, new)

    values = {
        **{field: again(row[field], field) for field in LESSON_FIELDS},
        "user_blind_index": _blind_index(row, old, new),
        "key_id": new.key_id,
        "lesson": lesson,
    }
    db.execute(QUERIES["reencrypt_lesson"], values)
    for entry in db.execute(QUERIES["entries_of_lesson"], {"lesson": lesson}).fetchall():
        values = {
            "payload": again(entry["payload"], entry["kind"]),
            "dead_reason": again(entry["dead_reason"], f"{entry['kind']}.dead_reason"),
            "entry": entry["id"],
        }
        db.execute(QUERIES["reencrypt_entry"], values)


def _encrypt_again(text: str, field: str, old: Cipher, new: Cipher) -> str:
    try:
        return new.encrypt(old.decrypt(text, field), field)
    except DecryptionError as error:
        # Undecryptable data stays as it is, so that the rest can be re-encrypted.
        log.error("ledger.unreadable", why=str(error))
        return text


def _blind_index(row: Row, old: Cipher, new: Cipher) -> str:
    try:
        return new.blind_index(old.decrypt(row["user_id"], f"{row['id']}.user_id"))
    except DecryptionError:
        return str(row["user_blind_index"])
