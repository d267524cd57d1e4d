"""What the ledger holds, row by row."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from loqua_host.contract.records import Progress

from .database import Row
from .encryption import KeyRing

__all__ = ["Backlog", "Kind", "LessonRow", "OutboxRow", "Purged", "read_entry", "read_lesson"]


class Kind(StrEnum):
    """What an entry of the outbox is: progress, by its status on the wire, or the record."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class LessonRow:
    """A lesson as the ledger has it.

    Attributes:
        session_id: The id the API knows the lesson by, unique in the ledger.
        opened_at: Unix seconds.
        seconds: Taught so far, as of the last progress.
        state: The tutor's own notes, as of the last progress.
        restarts: How often a tutor was brought back to it; updates from a job that taught it before
            one of these are discarded.
        crashes: How often its tutor's job has crashed.
        entry: LiveKit's `sid` of the learner's last entry into the room.
    """

    id: str
    session_id: str
    visit: str
    user_id: str
    room: str
    tutor: str
    agent_id: str
    opened_at: float
    seconds: float = 0.0
    progress: Progress | None = None
    state: Mapping[str, JsonValue] = field(default_factory=dict)
    restarts: int = 0
    crashes: int = 0
    entry: str = ""

    @property
    def bound(self) -> dict[str, str]:
        """What each log line and span says of the lesson it is about."""
        return {
            "agent_id": self.agent_id,
            "session_id": self.session_id,
            "user_id": self.user_id,
        }


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An entry of the outbox, as it is sent.

    Attributes:
        idempotency_key: The same for every attempt; another payload has another.
        payload: JSON of what is sent.
        attempts: How often it was sent.
        maybe_delivered: Whether the API may have taken it in one of these.
        not_before: Unix seconds before which it is not to be sent.
    """

    lesson: LessonRow
    kind: Kind
    idempotency_key: str
    payload: str
    attempts: int
    maybe_delivered: bool
    not_before: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much the API is still to be sent, by all hosts of the ledger.

    Attributes:
        records: Records that are pending.
        progress: Progress updates that are pending.
        dead: Dead letters.
        oldest: When the lesson of the oldest pending record was closed, in unix seconds.
    """

    records: int = 0
    progress: int = 0
    dead: int = 0
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """How much was deleted: lessons that were delivered, and dead letters."""

    lessons: int
    dead: int


def read_lesson(row: Row, keys: KeyRing) -> LessonRow:
    """Return the lesson in a row of the table `lesson`.

    Raises:
        DecryptionError: If it is not as a host wrote it.
    """
    cipher = keys.cipher(row["key_id"])
    lesson, progress = row["id"], row["progress"]
    return LessonRow(
        id=lesson,
        session_id=row["session_id"],
        visit=row["visit"],
        user_id=cipher.decrypt(row["user_id"], f"{lesson}.user_id"),
        room=row["room"],
        tutor=row["tutor"],
        agent_id=row["agent_id"],
        opened_at=row["opened_at"],
        entry=row["entry"],
        seconds=row["seconds"],
        progress=progress
        and Progress.model_validate_json(cipher.decrypt(progress, f"{lesson}.progress")),
        state=json.loads(cipher.decrypt(row["state"], f"{lesson}.state")),
        restarts=row["restarts"],
        crashes=row["crashes"],
    )


def read_entry(row: Row, keys: KeyRing) -> OutboxRow:
    """Return the entry in a row of the table `outbox`, joined with its lesson's.

    Raises:
        DecryptionError: If it is not as a host wrote it.
    """
    payload = keys.cipher(row["key_id"]).decrypt(row["payload"], f"{row['id']}.{row['kind']}")
    return OutboxRow(
        lesson=read_lesson(row, keys),
        kind=Kind(row["kind"]),
        idempotency_key=row["idempotency_key"],
        payload=payload,
        attempts=row["attempts"],
        maybe_delivered=bool(row["maybe_delivered"]),
        not_before=row["not_before"],
    )
