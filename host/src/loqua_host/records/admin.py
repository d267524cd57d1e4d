"""The operator's access to the ledger from a separate process, also while the host runs.

Each change is one transaction. The host polls the outbox every 10 s.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from pydantic import JsonValue

from loqua_host.errors import DecryptionError

from . import regions
from .database import Database, DatabaseConnection, Row
from .encryption import KeyRing
from .queries import QUERIES
from .regions import RegionState
from .rows import Kind, read_lesson

__all__ = ["Deleted", "LedgerAdmin", "OutboxEntry"]

UNREADABLE = "(unreadable: modified by another program)"


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An undelivered entry.

    Attributes:
        dead_reason: Why it is a dead letter; None while it is pending.
        maybe_delivered: Whether the API may have accepted it.
    """

    session_id: str
    user_id: str
    tutor: str
    kind: Kind
    attempts: int
    maybe_delivered: bool
    dead_reason: str | None


@dataclass(frozen=True, slots=True)
class Deleted:
    """The numbers of a learner's deleted lessons, running lessons and undelivered entries.

    Attributes:
        session_ids: The session ids of the lessons.
    """

    lessons: int
    running: int
    undelivered: int
    session_ids: tuple[str, ...]


class LedgerAdmin:
    """Read and repair a ledger.

    Every method raises LedgerError if the ledger cannot be read, or its key is unknown.
    """

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self._database = database
        self._keys = keys

    @classmethod
    @contextmanager
    def open(cls, database: Database, keys: Sequence[str] = ()) -> Iterator[Self]:
        """Open an existing ledger; `keys` are the same as for the host."""
        database.open_existing()
        try:
            yield cls(database, KeyRing(keys))
        finally:
            database.close()

    def entries(self, *, dead_only: bool = False) -> list[OutboxEntry]:
        """Return the undelivered entries, oldest first."""
        with self._database.transaction() as db:
            rows = db.execute(QUERIES["entries"]).fetchall()
        return [self._entry(row) for row in rows if row["dead_at"] or not dead_only]

    def explain(self, session_id: str) -> dict[str, JsonValue] | None:
        """Return all data of a lesson, or None if it is not in the ledger."""
        with self._database.transaction() as db:
            values = {"session_id": session_id}
            row = db.execute(QUERIES["lesson_by_session_id"], values).fetchone()
            return None if row is None else self._whole(db, row)

    def resend(self, session_id: str | None) -> int:
        """Make undelivered entries pending again; return how many.

        Args:
            session_id: The lesson, or None for all dead letters.
        """
        with self._database.transaction() as db:
            if session_id is None:
                return db.execute(QUERIES["resend_dead_letters"]).rowcount
            return db.execute(QUERIES["resend_entries"], {"session_id": session_id}).rowcount

    def export(self, user_id: str) -> list[dict[str, JsonValue]]:
        """Return all data of a learner, by lesson."""
        with self._database.transaction() as db:
            return [self._whole(db, row) for row in self._lock_lessons_of(db, user_id)]

    def delete(self, user_id: str) -> Deleted:
        """Delete all data of a learner permanently.

        Undelivered entries are deleted too. Later updates of a running lesson are discarded.
        """
        undelivered = 0
        with self._database.transaction() as db:
            lessons = self._lock_lessons_of(db, user_id)
            for row in lessons:
                values = {"lesson": row["id"]}
                undelivered += db.execute(QUERIES["delete_entries"], values).rowcount
                db.execute(QUERIES["delete_lesson"], values)
        self._database.erase_deleted()
        return Deleted(
            lessons=len(lessons),
            running=sum(row["closed_at"] is None for row in lessons),
            undelivered=undelivered,
            session_ids=tuple(row["session_id"] for row in lessons),
        )

    def regions(self) -> RegionState | None:
        """Return which region teaches, or None if no host has run with regions."""
        with self._database.transaction() as db:
            return regions.read_state(db)

    def activate_region(self, region: str) -> RegionState | None:
        """Make a region the one that teaches, and return the state, or None as `regions` does.

        The state is unchanged if no host of that region has reported within the last hour.
        """
        with self._database.transaction() as db:
            regions.activate(db, region)
            return regions.read_state(db)

    def _lock_lessons_of(self, db: DatabaseConnection, user_id: str) -> list[Row]:
        """Return a learner's lessons, locked until the transaction ends."""
        rows: list[Row] = []
        for blind_index in self._keys.blind_indexes(user_id):
            values = {"user_blind_index": blind_index}
            rows += db.execute(QUERIES["lock_lessons_of_learner"], values).fetchall()
        return sorted(rows, key=lambda row: row["opened_at"])

    def _entry(self, row: Row) -> OutboxEntry:
        user_id = self._decrypt(row["user_id"], row["key_id"], f"{row['lesson_id']}.user_id")
        return OutboxEntry(
            session_id=row["session_id"],
            user_id=user_id or "",
            tutor=row["tutor"],
            kind=Kind(row["kind"]),
            attempts=row["attempts"],
            maybe_delivered=bool(row["maybe_delivered"]),
            dead_reason=self._dead_reason(row, row["key_id"]),
        )

    def _whole(self, db: DatabaseConnection, row: Row) -> dict[str, JsonValue]:
        lesson = read_lesson(row, self._keys)
        progress = lesson.progress
        reasons = self._decrypt(row["reasons"], row["key_id"], f"{lesson.id}.reasons")
        entries = db.execute(QUERIES["entries_of_lesson"], {"lesson": lesson.id}).fetchall()
        return {
            "session_id": lesson.session_id,
            "visit": lesson.visit,
            "user_id": lesson.user_id,
            "room": lesson.room,
            "tutor": lesson.tutor,
            "agent_id": lesson.agent_id,
            "opened_at": _moment(lesson.opened_at),
            "closed_at": _moment(row["closed_at"]),
            "seconds": round(lesson.seconds, 1),
            "restarts": lesson.restarts,
            "crashes": lesson.crashes,
            "interrupted": bool(row["interrupted"]),
            "progress": None if progress is None else progress.model_dump(mode="json"),
            "state": dict(lesson.state),
            "reasons": _parsed(reasons) or [],
            "undelivered": [self._undelivered(entry, row["key_id"]) for entry in entries],
        }

    def _undelivered(self, row: Row, key_id: str) -> dict[str, JsonValue]:
        payload = self._decrypt(row["payload"], key_id, f"{row['lesson_id']}.{row['kind']}")
        return {
            "kind": row["kind"],
            "idempotency_key": row["idempotency_key"],
            "attempts": row["attempts"],
            "maybe_delivered": bool(row["maybe_delivered"]),
            "not_before": _moment(row["not_before"]),
            "dead_at": _moment(row["dead_at"]),
            "dead_reason": self._dead_reason(row, key_id),
            "payload": _parsed(payload),
        }

    def _dead_reason(self, row: Row, key_id: str) -> str | None:
        field = f"{row['lesson_id']}.{row['kind']}.dead_reason"
        return self._decrypt(row["dead_reason"], key_id, field)

    def _decrypt(self, text: str | None, key_id: str, field: str) -> str | None:
        """Return the plaintext, or None with a log line if it cannot be decrypted."""
        if text is None:
            return None
        cipher = self._keys.cipher(key_id)
        try:
            return cipher.decrypt(text, field)
        except DecryptionError:
            return UNREADABLE


def _parsed(text: str | None) -> JsonValue:
    """Return the value of a JSON text; None if there is none."""
    if text is None or text == UNREADABLE:
        return text
    value: JsonValue = json.loads(text)
    return value


def _moment(seconds: float | None) -> str | None:
    """Return Unix seconds as a time in UTC, or None for 0."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
