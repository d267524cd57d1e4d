"""Opening a lesson: the claim, then the interrupted lesson to go on with, or a new one."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count

import structlog

from loqua_host.errors import LearnerError, SealError

from .database import Connection
from .leases import claim, is_renewed
from .rows import LessonRow, read_lesson
from .seal import Keyring

__all__ = ["ALREADY_TAUGHT", "CRASH_LOOP", "MAX_CRASHES", "open_or_resume"]

log = structlog.get_logger()

ALREADY_TAUGHT = "already_taught"

CRASH_LOOP = "crash_loop"

MAX_CRASHES = 4
"""Crashes in one lesson; a tutor that has crashed so often would do so again.

Only the end of its job is the tutor's crash. That LiveKit or the host was started again is not, and
a lesson outlives it however often.
"""

LONGEST_AGENT = 60
"""Characters of an agent's name in a session's id, which has 600 at most."""


def open_or_resume(
    db: Connection, keyring: Keyring, host: str, lesson: LessonRow, agent_name: str
) -> LessonRow:
    """Open a lesson for a job of this host; see `Ledger.open_lesson`.

    Raises:
        LearnerError: If the room has this tutor already, or the tutor was given up in this entry.
    """
    is_renewed(db, host)
    # First of all, as whoever else opens a lesson with this tutor waits for its end here.
    if not claim(db, host, room=lesson.room, tutor=lesson.tutor, seconds=0.0, arrived=True):
        raise LearnerError(ALREADY_TAUGHT, "the room has this tutor already")
    lost = _find_open(db, keyring, lesson)
    if lost is not None:
        row = _resume(db, host, lost, lesson.entry)
    elif _was_given_up(db, lesson):
        raise LearnerError(CRASH_LOOP, "the tutor crashed again and again since the learner came")
    else:
        row = _insert(db, keyring, host, lesson, agent_name)
    db.execute(
        "UPDATE claim SET lesson = ? WHERE room = ? AND tutor = ?",
        (row.id, lesson.room, lesson.tutor),
    )
    return row


def _find_open(db: Connection, keyring: Keyring, lesson: LessonRow) -> LessonRow | None:
    rows = db.execute(
        "SELECT * FROM lesson WHERE room = ? AND tutor = ? AND closed_at IS NULL"
        " ORDER BY opened_at",
        (lesson.room, lesson.tutor),
    ).fetchall()
    marks = keyring.marks(lesson.user_id)
    for row in rows:
        if row["user_mark"] in marks:
            try:
                found = read_lesson(row, keyring)
                if found.user_id == lesson.user_id:
                    return found
                why = "its mark is another learner's"
            except SealError as error:
                why = str(error)
            ids = {name: row[name] for name in ("agent_id", "session_id", "room")}
            log.error("lesson.unreadable", why=why, **ids)
    return None


def _was_given_up(db: Connection, lesson: LessonRow) -> bool:
    """Say whether a lesson of this entry ended in a crash loop; a call may come late or twice."""
    found = db.execute(
        "SELECT 1 FROM lesson WHERE room = ? AND tutor = ? AND entry = ? AND entry != ''"
        " AND closed_at IS NOT NULL AND interrupted = 1 AND crashes >= ?",
        (lesson.room, lesson.tutor, lesson.entry, MAX_CRASHES),
    )
    return found.fetchone() is not None


def _resume(db: Connection, host: str, lost: LessonRow, entry: str) -> LessonRow:
    db.execute(
        "UPDATE lesson SET restarts = restarts + 1, entry = ?, owner = ? WHERE id = ?",
        (entry, host, lost.id),
    )
    db.execute("UPDATE owed SET owner = ? WHERE lesson = ?", (host, lost.id))
    return replace(lost, restarts=lost.restarts + 1, entry=entry)


def _insert(
    db: Connection, keyring: Keyring, host: str, lesson: LessonRow, agent_name: str
) -> LessonRow:
    sealing = keyring.current
    given = {
        "id": lesson.id,
        "session_id": "",
        "visit": lesson.visit,
        "user_id": sealing.seal(lesson.user_id, f"{lesson.id}.user_id"),
        "user_mark": sealing.mark(lesson.user_id),
        "room": lesson.room,
        "tutor": lesson.tutor,
        "agent_id": lesson.agent_id,
        "opened_at": lesson.opened_at,
        "entry": lesson.entry,
        "state": sealing.seal(json.dumps(dict(lesson.state)), f"{lesson.id}.state"),
        "key_id": sealing.key_id,
        "owner": host,
    }
    places = ", ".join("?" for _ in given)
    text = f"INSERT INTO lesson ({', '.join(given)}) VALUES ({places})"  # noqa: S608  # the above
    for name in _session_ids(lesson.visit, agent_name or lesson.tutor):
        values = tuple({**given, "session_id": name}.values())
        if db.execute(f"{text} ON CONFLICT (session_id) DO NOTHING", values).rowcount:
            return replace(lesson, session_id=name)
    raise AssertionError("numbers do not end")


def _session_ids(visit: str, agent: str) -> Iterator[str]:
    named = f"{visit}.{agent[:LONGEST_AGENT]}"
    return chain((visit, named), (f"{named}.{number}" for number in count(2)))
