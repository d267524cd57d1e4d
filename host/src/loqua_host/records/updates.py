"""Updates of a lesson, in a form that can be written to the ledger or to the spool."""

import json
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from loqua_host.contract.handoff import Handback
from loqua_host.contract.records import Progress, SessionRecord

from .database import DatabaseConnection, Row
from .encryption import Cipher, KeyRing
from .handoffs import hand_back
from .queries import QUERIES
from .rows import Kind

__all__ = ["LessonEnd", "LessonProgress", "LessonUpdate", "apply"]


class _Update(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    lesson: str
    restarts: int


class LessonProgress(_Update):
    """The progress of a lesson; `send` is whether to send it to the API."""

    what: Literal["progress"] = "progress"
    seconds: float
    progress: Progress | None
    state: dict[str, JsonValue]
    send: bool = True


class LessonEnd(_Update):
    """The end of a lesson: its final progress and its record.

    `entry` is the learner's current one, which may have changed a moment before. `handback` is the
    result for a lesson that called this one.
    """

    what: Literal["end"] = "end"
    entry: str
    closed_at: float
    status: Kind
    progress: Progress | None
    record: SessionRecord
    reasons: tuple[str, ...]
    interrupted: bool
    handback: Handback | None = None


LessonUpdate = Annotated[LessonProgress | LessonEnd, Field(discriminator="what")]


def apply(keys: KeyRing, host: str, update: LessonUpdate, db: DatabaseConnection) -> bool:
    """Write an update; return False, and write nothing, if it is outdated.

    An update is outdated if the lesson is closed, has been resumed by another job, or is taught by
    a job of another living host. If a lesson was closed without its job, the job's own end replaces
    that, unless the API may already have some of it.

    This is safe to repeat, also by another host that finds the update in its spool: everything is
    one transaction under the lesson's row lock, and a repetition changes nothing but the
    idempotency key of unsent progress. The entries belong to the lesson's owner, or to this host if
    the owner is dead.
    """
    values = {
        "lesson": update.lesson,
        "restarts": update.restarts,
        "host": host,
        "writer": update.host,
    }
    lesson = db.execute(QUERIES["lock_lesson"], values).fetchone()
    if lesson is None or not (lesson["closed_at"] is None or _is_replaceable(db, lesson, update)):
        return False
    cipher, owner = keys.cipher(lesson["key_id"]), lesson["owner"]
    if isinstance(update, LessonProgress):
        _save(db, cipher, owner, update)
    else:
        _close(db, cipher, owner, update)
        if update.handback is not None:
            room, tutor = lesson["room"], lesson["tutor"]
            hand_back(db, keys, room=room, tutor=tutor, handback=update.handback)
    return True


def _is_replaceable(db: DatabaseConnection, lesson: Row, update: LessonUpdate) -> bool:
    """Return whether the lesson was closed without its job and nothing of that has been sent.

    If so, nothing is sent before this transaction ends: a sender first marks the entry
    (`Outbox.mark_sending`), and then finds that it has been replaced.
    """
    if isinstance(update, LessonProgress) or update.interrupted or not lesson["interrupted"]:
        return False
    unsent = db.execute(QUERIES["lock_unsent_entries"], {"lesson": lesson["id"]}).fetchall()
    kinds = {row["kind"] for row in unsent}
    final = lesson["progress"] is None or kinds & {Kind.COMPLETED, Kind.FAILED}
    return bool(Kind.RECORD in kinds and final)


def _save(db: DatabaseConnection, cipher: Cipher, owner: str, update: LessonProgress) -> None:
    lesson, progress = update.lesson, update.progress and update.progress.model_dump_json()
    values = {
        "seconds": update.seconds,
        "progress": progress and cipher.encrypt(progress, f"{lesson}.progress"),
        "state": cipher.encrypt(json.dumps(update.state), f"{lesson}.state"),
        "owner": owner,
        "lesson": lesson,
    }
    db.execute(QUERIES["save_progress"], values)
    if update.send and progress:
        _put_entry(db, cipher, owner, lesson, Kind.IN_PROGRESS, progress)


def _close(db: DatabaseConnection, cipher: Cipher, owner: str, end: LessonEnd) -> None:
    """Close a lesson. Its final progress and record replace all unsent entries."""
    lesson = {"lesson": end.lesson}
    values = {
        "closed_at": end.closed_at,
        "reasons": cipher.encrypt(json.dumps(end.reasons), f"{end.lesson}.reasons"),
        "interrupted": int(end.interrupted),
        "entry": end.entry,
        "owner": owner,
    }
    db.execute(QUERIES["close_lesson"], lesson | values)
    db.execute(QUERIES["delete_claim"], lesson)
    db.execute(QUERIES["delete_entries"], lesson)
    if end.progress is not None:
        _put_entry(db, cipher, owner, end.lesson, end.status, end.progress.model_dump_json())
    _put_entry(db, cipher, owner, end.lesson, Kind.RECORD, end.record.model_dump_json())


def _put_entry(
    db: DatabaseConnection, cipher: Cipher, owner: str, lesson: str, kind: Kind, payload: str
) -> None:
    values = {
        "lesson": lesson,
        "kind": kind,
        "idempotency_key": str(uuid4()),
        "payload": cipher.encrypt(payload, f"{lesson}.{kind}"),
        "owner": owner,
    }
    db.execute(QUERIES["put_entry"], values)
