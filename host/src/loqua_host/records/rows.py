"""What the ledger holds, row by row."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from loqua_host.contract.records import Progress

from .database import Row
from .seal import Keyring

__all__ = ["Debts", "Kind", "LessonRow", "OwedRow", "Purged", "read_lesson", "read_owed"]


class Kind(StrEnum):
    """What an owed row is: progress, by its status on the wire, or the record."""

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
        restarts: How often a tutor was brought back to it; a job that taught it before one of
            these changes nothing of it any more.
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
class OwedRow:
    """A row that the API is owed.

    Attributes:
        key: The idempotency key, the same for every attempt; another payload has another.
        payload: JSON of what is sent.
        attempts: How often it was sent.
        unsure: Whether the API may have taken it in one of these.
        not_before: Unix seconds before which it is not to be sent.
    """

    lesson: LessonRow
    kind: Kind
    key: str
    payload: str
    attempts: int
    unsure: bool
    not_before: float


@dataclass(frozen=True, slots=True)
class Debts:
    """How much is owed to the API.

    Attributes:
        records: Records still to be sent.
        progress: Progress updates still to be sent.
        dead: Rows set aside for good.
        oldest: When the lesson of the oldest record owed was closed, in unix seconds.
    """

    records: int = 0
    progress: int = 0
    dead: int = 0
    oldest: float | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """How much was forgotten: lessons that owed nothing, and rows set aside."""

    lessons: int
    dead: int


def read_lesson(row: Row, keyring: Keyring) -> LessonRow:
    """Read a row of the table `lesson`."""
    sealing = keyring.of(row["key_id"])
    kept = row["progress"]
    return LessonRow(
        id=row["id"],
        session_id=row["session_id"],
        visit=row["visit"],
        user_id=sealing.open(row["user_id"], f"{row['id']}.user_id"),
        room=row["room"],
        tutor=row["tutor"],
        agent_id=row["agent_id"],
        opened_at=row["opened_at"],
        entry=row["entry"],
        seconds=row["seconds"],
        progress=kept and Progress.model_validate_json(sealing.open(kept, f"{row['id']}.progress")),
        state=json.loads(sealing.open(row["state"], f"{row['id']}.state")),
        restarts=row["restarts"],
        crashes=row["crashes"],
    )


def read_owed(row: Row, keyring: Keyring) -> OwedRow:
    """Read a row of the table `owed`, joined with its lesson's."""
    return OwedRow(
        lesson=read_lesson(row, keyring),
        kind=Kind(row["kind"]),
        key=row["key"],
        payload=keyring.of(row["key_id"]).open(row["payload"], f"{row['id']}.{row['kind']}"),
        attempts=row["attempts"],
        unsure=bool(row["unsure"]),
        not_before=row["not_before"],
    )
