"""The ledger as operators see it, from a process of their own, also while the host runs.

Each change is one transaction. The host looks for what it has to send again every half minute.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from pydantic import JsonValue

from loqua_host.errors import SealError

from .database import Connection, Database, Row
from .rows import Kind, read_lesson
from .seal import Keyring

__all__ = ["Archive", "Deleted", "Letter"]

AGAIN = "UPDATE owed SET dead_because = NULL, dead_at = NULL, attempts = 0, not_before = 0"

UNREADABLE = "(unreadable: changed behind the host's back)"


@dataclass(frozen=True, slots=True)
class Letter:
    """A row that the API does not have.

    Attributes:
        dead_because: Why the API refused it for good; None while it is to be sent.
        unsure: Whether the API may have taken it all the same.
    """

    session_id: str
    user_id: str
    tutor: str
    kind: Kind
    attempts: int
    unsure: bool
    dead_because: str | None


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted of a learner: lessons, some of them running, and rows not delivered."""

    lessons: int
    running: int
    undelivered: int


class Archive:
    """Reads and mends what a ledger holds.

    Every method raises LedgerError where the ledger cannot be read, or its key is not here.
    """

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    @classmethod
    @contextmanager
    def open(cls, database: Database, keys: Sequence[str] = ()) -> Iterator[Self]:
        """Open the ledger in a database, where it is already; `keys` are as for the host."""
        database.join()
        try:
            yield cls(database, Keyring(keys))
        finally:
            database.close()

    def letters(self, *, dead_only: bool = False) -> list[Letter]:
        """List what the API does not have, oldest first."""
        with self._database.transaction() as db:
            rows = db.execute(
                "SELECT o.*, l.user_id, l.session_id, l.tutor, l.key_id FROM owed o"
                " JOIN lesson l ON l.id = o.lesson ORDER BY o.id"
            ).fetchall()
        return [self._letter(row) for row in rows if row["dead_at"] or not dead_only]

    def explain(self, session_id: str) -> dict[str, JsonValue] | None:
        """Get all that the ledger holds of a lesson, or None if it holds no such lesson."""
        with self._database.transaction() as db:
            row = db.execute("SELECT * FROM lesson WHERE session_id = ?", (session_id,)).fetchone()
            return None if row is None else self._whole(db, row)

    def resend(self, session_id: str | None) -> int:
        """Have rows sent again that the API does not have; gives how many.

        Args:
            session_id: Whose rows; None: all that the API refused for good.
        """
        with self._database.transaction() as db:
            if session_id is None:
                return db.execute(f"{AGAIN} WHERE dead_at IS NOT NULL").rowcount
            which = "WHERE lesson = (SELECT id FROM lesson WHERE session_id = ?)"
            return db.execute(f"{AGAIN} {which}", (session_id,)).rowcount

    def export(self, user_id: str) -> list[JsonValue]:
        """Get all that the ledger holds of a learner, lesson by lesson."""
        with self._database.transaction() as db:
            return [self._whole(db, row) for row in self._lessons_of(db, user_id)]

    def delete(self, user_id: str) -> Deleted:
        """Delete all that the ledger holds of a learner, for good.

        What the API does not have yet, it will not get; a lesson that runs leaves nothing.
        """
        undelivered = 0
        with self._database.transaction() as db:
            lessons = self._lessons_of(db, user_id)
            for row in lessons:
                one = (row["id"],)
                undelivered += db.execute("DELETE FROM owed WHERE lesson = ?", one).rowcount
                db.execute("DELETE FROM lesson WHERE id = ?", one)
        self._database.scrub()
        return Deleted(
            lessons=len(lessons),
            running=sum(row["closed_at"] is None for row in lessons),
            undelivered=undelivered,
        )

    def _lessons_of(self, db: Connection, user_id: str) -> list[Row]:
        """Get a learner's lessons, which nobody changes before the transaction ends."""
        rows: list[Row] = []
        for mark in self._keyring.marks(user_id):
            rows += db.execute(
                "SELECT * FROM lesson WHERE user_mark = ? FOR UPDATE", (mark,)
            ).fetchall()
        return sorted(rows, key=lambda row: row["opened_at"])

    def _letter(self, row: Row) -> Letter:
        return Letter(
            session_id=row["session_id"],
            user_id=self._opened(row["user_id"], row["key_id"], f"{row['lesson']}.user_id") or "",
            tutor=row["tutor"],
            kind=Kind(row["kind"]),
            attempts=row["attempts"],
            unsure=bool(row["unsure"]),
            dead_because=self._why(row, row["key_id"]),
        )

    def _whole(self, db: Connection, row: Row) -> dict[str, JsonValue]:
        lesson = read_lesson(row, self._keyring)
        because = self._opened(row["because"], row["key_id"], f"{lesson.id}.because")
        owed = db.execute(
            "SELECT * FROM owed WHERE lesson = ? ORDER BY id", (lesson.id,)
        ).fetchall()
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
            "progress": lesson.progress and lesson.progress.model_dump(mode="json"),
            "state": dict(lesson.state),
            "because": json.loads(because or "[]"),
            "not_delivered": [self._undelivered(one, row["key_id"]) for one in owed],
        }

    def _undelivered(self, row: Row, key_id: str) -> Mapping[str, JsonValue]:
        payload = self._opened(row["payload"], key_id, f"{row['lesson']}.{row['kind']}")
        return {
            "what": row["kind"],
            "key": row["key"],
            "attempts": row["attempts"],
            "may_have_arrived": bool(row["unsure"]),
            "not_before": _moment(row["not_before"]),
            "refused_at": _moment(row["dead_at"]),
            "refused_because": self._why(row, key_id),
            "payload": UNREADABLE if payload == UNREADABLE else json.loads(payload or "null"),
        }

    def _why(self, row: Row, key_id: str) -> str | None:
        return self._opened(
            row["dead_because"], key_id, f"{row['lesson']}.{row['kind']}.dead_because"
        )

    def _opened(self, text: str | None, key_id: str, place: str) -> str | None:
        """Open a text; one that was changed does not keep the others from being seen."""
        if text is None:
            return None
        sealing = self._keyring.of(key_id)
        try:
            return sealing.open(text, place)
        except SealError:
            return UNREADABLE


def _moment(seconds: float | None) -> str | None:
    """Return Unix seconds as a time in UTC; None for those that stand for no time."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
