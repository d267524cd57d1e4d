"""Calls of specialists in the ledger, so that any host may run the specialist and the caller.

A lesson row names the specialist that the lesson has **called**. The transaction that closes the
specialist's lesson, on whichever host, writes the **handback** to the caller's row, encrypted with
the caller's key. The host that teaches the caller then gives it to the caller's job and clears both
columns. So a result outlives every process, belongs to one call, and is written once.

These functions run in the caller's transaction.
"""

import structlog
from pydantic import ValidationError

from loqua_host.contract.handoff import Handback
from loqua_host.errors import DecryptionError

from .database import DatabaseConnection, Row
from .encryption import KeyRing
from .queries import QUERIES

__all__ = ["hand_back", "handbacks_in"]

log = structlog.get_logger()


def hand_back(
    db: DatabaseConnection, keys: KeyRing, *, room: str, tutor: str, handback: Handback
) -> None:
    """Write the result of a specialist's lesson to the lesson that called it, if there is one."""
    values = {"room": room, "tutor": tutor}
    for caller in db.execute(QUERIES["lock_caller"], values).fetchall():
        lesson, cipher = caller["id"], keys.cipher(caller["key_id"])
        text = cipher.encrypt(handback.model_dump_json(), f"{lesson}.handback")
        db.execute(QUERIES["save_handback"], {"lesson": lesson, "handback": text})


def handbacks_in(db: DatabaseConnection, keys: KeyRing, room: str) -> dict[str, Handback]:
    """Return the results that wait in a room for their callers, by the specialist's tutor name."""
    rows = db.execute(QUERIES["handbacks"], {"room": room}).fetchall()
    return {row["called"]: _read(row, keys) for row in rows}


def _read(row: Row, keys: KeyRing) -> Handback:
    """Return a result; an unreadable one counts as failed, so that the caller goes on."""
    try:
        text = keys.cipher(row["key_id"]).decrypt(row["handback"], f"{row['id']}.handback")
        return Handback.model_validate_json(text)
    except (DecryptionError, ValidationError) as error:
        log.error("lesson.unreadable", why=type(error).__name__, lesson=row["id"])
        return Handback(outcome="failed")
