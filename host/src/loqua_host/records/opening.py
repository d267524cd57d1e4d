"""Opening of lessons: claim the room, then resume an interrupted lesson or insert a new one."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count

import structlog

from loqua_host.errors import DecryptionError, LearnerError

from .database import DatabaseConnection
from .encryption import KeyRing
from .leases import claim, renew_lease
from .queries import QUERIES
from .rows import LessonRow, read_lesson

__all__ = ["ALREADY_TAUGHT", "CRASH_LOOP", "MAX_CRASHES", "open_or_resume"]

log = structlog.get_logger()

ALREADY_TAUGHT = "already_taught"

CRASH_LOOP = "crash_loop"

MAX_CRASHES = 4
"""Crashes in one lesson after which it is given up.

Only the end of its job's process counts as a crash. Restarts of LiveKit or the host do not.
"""

MAX_AGENT_NAME = 60
"""Maximum characters of an agent's name in a session id, which has at most 600."""


def open_or_resume(
    db: DatabaseConnection, keys: KeyRing, host: str, lesson: LessonRow, agent_name: str
) -> LessonRow:
    """Open a lesson for a job of this host; see `Ledger.open_lesson`.

    The claim comes first: another transaction for this tutor and room waits there until this one
    ends, and then sees its lesson.

    Raises:
        LearnerError: If the room already has this tutor, or the tutor was given up in this entry.
    """
    renew_lease(db, host)
    if not claim(db, host, room=lesson.room, tutor=lesson.tutor, seconds=0.0, arrived=True):
        raise LearnerError(ALREADY_TAUGHT, "the room has this tutor already")
    interrupted = _find_open(db, keys, lesson)
    if interrupted is not None:
        row = _resume(db, host, interrupted, lesson.entry)
    elif _is_crash_loop(db, lesson):
        raise LearnerError(CRASH_LOOP, "the tutor has crashed repeatedly since the learner entered")
    else:
        row = _insert(db, keys, host, lesson, agent_name)
    values = {"lesson": row.id, "room": lesson.room, "tutor": lesson.tutor}
    db.execute(QUERIES["bind_claim"], values)
    return row


def _find_open(db: DatabaseConnection, keys: KeyRing, lesson: LessonRow) -> LessonRow | None:
    values = {"room": lesson.room, "tutor": lesson.tutor}
    rows = db.execute(QUERIES["open_lessons"], values).fetchall()
    blind_indexes = keys.blind_indexes(lesson.user_id)
    for row in rows:
        if row["user_blind_index"] in blind_indexes:
            try:
                found = read_lesson(row, keys)
                if found.user_id == lesson.user_id:
                    return found
                why = "its blind index is another learner's"
            except DecryptionError as error:
                why = str(error)
            ids = {name: row[name] for name in ("agent_id", "session_id", "room")}
            log.error("lesson.unreadable", why=why, **ids)
    return None


def _is_crash_loop(db: DatabaseConnection, lesson: LessonRow) -> bool:
    """Return whether a lesson of this entry was given up; a dispatch may arrive late or twice."""
    values = {
        "room": lesson.room,
        "tutor": lesson.tutor,
        "entry": lesson.entry,
        "max_crashes": MAX_CRASHES,
    }
    return db.execute(QUERIES["crash_loop"], values).fetchone() is not None


def _resume(db: DatabaseConnection, host: str, lesson: LessonRow, entry: str) -> LessonRow:
    values = {"lesson": lesson.id, "host": host}
    db.execute(QUERIES["resume_lesson"], {**values, "entry": entry})
    db.execute(QUERIES["own_entries"], values)
    return replace(lesson, restarts=lesson.restarts + 1, entry=entry)


def _insert(
    db: DatabaseConnection, keys: KeyRing, host: str, lesson: LessonRow, agent_name: str
) -> LessonRow:
    cipher = keys.current
    values = {
        "id": lesson.id,
        "visit": lesson.visit,
        "room": lesson.room,
        "entry": lesson.entry,
        "tutor": lesson.tutor,
        "agent_id": lesson.agent_id,
        "owner": host,
        "key_id": cipher.key_id,
        "user_id": cipher.encrypt(lesson.user_id, f"{lesson.id}.user_id"),
        "user_blind_index": cipher.blind_index(lesson.user_id),
        "opened_at": lesson.opened_at,
        "state": cipher.encrypt(json.dumps(dict(lesson.state)), f"{lesson.id}.state"),
    }
    for session_id in _session_ids(lesson.visit, agent_name or lesson.tutor):
        if db.execute(QUERIES["insert_lesson"], {**values, "session_id": session_id}).rowcount:
            return replace(lesson, session_id=session_id)
    raise AssertionError("numbers do not end")


def _session_ids(visit: str, agent: str) -> Iterator[str]:
    named = f"{visit}.{agent[:MAX_AGENT_NAME]}"
    return chain((visit, named), (f"{named}.{number}" for number in count(2)))
