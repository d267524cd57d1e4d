"""What lessons have the ledger keep, in a form that can wait for it."""

import json
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from loqua_host.contract.records import Progress, SessionRecord

from .database import Connection, Row
from .rows import Kind
from .seal import Keyring, Sealing

__all__ = ["End", "Note", "Tick", "put"]


class _Note(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    lesson: str
    restarts: int


class Tick(_Note):
    """How far a lesson has come; `owed` is whether the API is to hear of its progress."""

    what: Literal["tick"] = "tick"
    seconds: float
    progress: Progress | None
    state: dict[str, JsonValue]
    owed: bool = True


class End(_Note):
    """The end of a lesson: its final progress and its record.

    `entry` is that of its learner, who may have come back a moment before.
    """

    what: Literal["end"] = "end"
    entry: str
    closed_at: float
    status: Kind
    progress: Progress | None
    record: SessionRecord
    because: tuple[str, ...]
    interrupted: bool


Note = Annotated[Tick | End, Field(discriminator="what")]


def put(keyring: Keyring, host: str, note: Note, db: Connection) -> bool:
    """Write a note; False, and nothing, if the lesson is closed or went on with another job.

    One that was closed without its job is closed anew by that, unless the API may have something
    of the closing.

    What it makes owed, the lesson's owner owes, or this host in the place of a dead one. Nothing is
    written either if a job of another host teaches it, which lives and did not write the note. To
    write it again changes nothing but the key that a tick is owed with.
    """
    lesson = db.execute(
        "SELECT id, key_id, closed_at, interrupted, progress,"
        " CASE WHEN owner IN (SELECT id FROM host WHERE lease_until > unix_now())"
        " THEN owner ELSE ? END AS owner"
        " FROM lesson WHERE id = ? AND restarts = ?"
        " AND NOT EXISTS (SELECT 1 FROM claim WHERE lesson = lesson.id AND host NOT IN (?, ?)"
        " AND host IN (SELECT id FROM host WHERE lease_until > unix_now())) FOR UPDATE",
        (host, note.lesson, note.restarts, host, note.host),
    ).fetchone()
    if lesson is None or not (lesson["closed_at"] is None or _gives_way(db, lesson, note)):
        return False
    sealing, owner = keyring.of(lesson["key_id"]), lesson["owner"]
    if isinstance(note, Tick):
        _keep(db, sealing, owner, note)
    else:
        _close(db, sealing, owner, note)
    return True


def _gives_way(db: Connection, lesson: Row, note: Note) -> bool:
    """Say whether all that a closing without the job made owed is still unsent; then it stays so.

    Whoever begins to send a row says so on it first (`Outbox.mark_sending`), or finds it gone.
    """
    if isinstance(note, Tick) or note.interrupted or not lesson["interrupted"]:
        return False
    unsent = db.execute(
        "SELECT kind FROM owed WHERE lesson = ? AND unsure = 0 FOR UPDATE", (lesson["id"],)
    ).fetchall()
    kinds = {row["kind"] for row in unsent}
    final = lesson["progress"] is None or kinds & {Kind.COMPLETED, Kind.FAILED}
    return bool(Kind.RECORD in kinds and final)


def _keep(db: Connection, sealing: Sealing, owner: str, tick: Tick) -> None:
    one, progress = tick.lesson, tick.progress and tick.progress.model_dump_json()
    db.execute(
        "UPDATE lesson SET seconds = ?, progress = ?, state = ?, owner = ? WHERE id = ?",
        (
            tick.seconds,
            progress and sealing.seal(progress, f"{one}.progress"),
            sealing.seal(json.dumps(tick.state), f"{one}.state"),
            owner,
            one,
        ),
    )
    if tick.owed and progress:
        _owe(db, sealing, owner, one, Kind.IN_PROGRESS, progress)


def _close(db: Connection, sealing: Sealing, owner: str, end: End) -> None:
    one = end.lesson
    because = sealing.seal(json.dumps(end.because), f"{one}.because")
    db.execute(
        "UPDATE lesson SET closed_at = ?, because = ?, interrupted = ?, entry = ?, owner = ?"
        " WHERE id = ?",
        (end.closed_at, because, int(end.interrupted), end.entry, owner, one),
    )
    db.execute("DELETE FROM claim WHERE lesson = ?", (one,))
    db.execute("DELETE FROM owed WHERE lesson = ?", (one,))
    if end.progress is not None:
        _owe(db, sealing, owner, one, end.status, end.progress.model_dump_json())
    _owe(db, sealing, owner, one, Kind.RECORD, end.record.model_dump_json())


def _owe(
    db: Connection, sealing: Sealing, owner: str, lesson: str, kind: Kind, payload: str
) -> None:
    db.execute(
        "INSERT INTO owed (lesson, kind, key, payload, owner) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (lesson, kind) DO UPDATE"
        " SET key = excluded.key, payload = excluded.payload, owner = excluded.owner,"
        " dead_because = NULL, dead_at = NULL",
        (lesson, kind, str(uuid4()), sealing.seal(payload, f"{lesson}.{kind}"), owner),
    )
