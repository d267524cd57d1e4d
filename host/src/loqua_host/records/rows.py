"""The rows of the ledger as frozen values."""

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
    """The kind of an outbox entry: progress, by its status in the API, or the record."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class LessonRow:
    """A lesson in the ledger.

    Attributes:
        session_id: The lesson's id for the API, unique in the ledger.
        opened_at: The time in Unix seconds.
        seconds: The seconds taught, at the last progress.
        state: The saved state, at the last progress.
        restarts: How often it was resumed; updates from earlier jobs are discarded.
        crashes: How often its job has crashed.
        entry: LiveKit's `sid` of the learner's last entry into the room.
        called: The tutor name of the specialist that it has called and not yet heard of.
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
    called: str = ""

    @property
    def bound(self) -> dict[str, str]:
        """The ids for log lines and spans about the lesson."""
        return {
            "agent_id": self.agent_id,
            "session_id": self.session_id,
            "user_id": self.user_id,
        }


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An entry of the outbox.

    Attributes:
        idempotency_key: The same for every attempt; another payload has another one.
        payload: The JSON to send.
        attempts: The number of attempts.
        maybe_delivered: Whether the API may have accepted one of them.
        not_before: The time in Unix seconds before which it must not be sent.
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
    """The numbers of undelivered entries of all hosts that share the ledger.

    Attributes:
        records: Records that are pending.
        progress: Progress updates that are pending.
        dead: Dead letters.
        oldest: When the lesson of the oldest pending record was closed, in Unix seconds.
    """

    records: int = 0
    progress: int = 0
    dead: int = 0
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """The numbers of deleted lessons and dead letters."""

    lessons: int
    dead: int


def read_lesson(row: Row, keys: KeyRing) -> LessonRow:
    """Return the lesson in a row of the table `lesson`.

    Raises:
        DecryptionError: If it cannot be decrypted.
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
        called=row["called"] or "",
    )


def read_entry(row: Row, keys: KeyRing) -> OutboxRow:
    """Return the entry in a row of the table `outbox`, joined with its lesson's.

    Raises:
        DecryptionError: If it cannot be decrypted.
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
