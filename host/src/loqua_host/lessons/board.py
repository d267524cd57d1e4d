"""What this host knows of the lessons in its rooms; lessons write it, the reconciler reads it."""

import asyncio
from collections.abc import Callable

from loqua_host.link.server import JobRef
from loqua_host.records.ledger import LessonRow

from .reconcile import Interrupted

__all__ = ["Board"]


class Board:
    """Who is taught, called, interrupted or refused, by room and tutor.

    Attributes:
        changed: Set whenever the reconciler has reason to look.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.changed = asyncio.Event()
        self._taught: dict[str, tuple[str, str]] = {}
        self._called: dict[tuple[str, str], float] = {}
        self._refused: dict[tuple[str, str, str], float] = {}
        self._interrupted: dict[str, Interrupted] = {}

    def on_called(self, room: str, tutor: str) -> None:
        """Note that a tutor was dispatched to a room or accepted a job there."""
        self._called[room, tutor] = self._now()

    def on_taught(self, job: JobRef) -> None:
        """Note that a lesson runs."""
        self._taught[job.job_id] = (job.room, job.tutor)
        self._called.pop((job.room, job.tutor), None)

    def on_refused(self, job: JobRef, identity: str) -> None:
        """Note that a learner was refused a lesson; entering again clears it."""
        self._refused[job.room, job.tutor, identity] = self._now()
        self._called.pop((job.room, job.tutor), None)

    def on_over(self, job: JobRef) -> None:
        """Note that a job has no lesson any more, which may free a place."""
        self._taught.pop(job.job_id, None)
        self.changed.set()

    def on_interrupted(self, row: LessonRow, agent: str | None) -> Interrupted:
        """Note that a lesson lost its job, or was found open when this host started."""
        self._interrupted[row.id] = Interrupted(row, agent, self._now())
        self.changed.set()
        return self._interrupted[row.id]

    def take_interrupted(self, room: str, user_id: str, tutor: str) -> LessonRow | None:
        """Get the lesson that a tutor who joins now is to go on with, if there is one."""
        for lesson in self.interrupted(room):
            if (lesson.row.user_id, lesson.row.tutor) == (user_id, tutor):
                return self._interrupted.pop(lesson.row.id).row
        return None

    def drop_interrupted(self, lesson: Interrupted) -> bool:
        """Take an interrupted lesson off the board; False if somebody has taken it before."""
        return self._interrupted.pop(lesson.row.id, None) is not None

    def interrupted(self, room: str) -> tuple[Interrupted, ...]:
        """Get the interrupted lessons of a room."""
        return tuple(one for one in self._interrupted.values() if one.row.room == room)

    def interrupted_rooms(self) -> set[str]:
        """Get the rooms that have interrupted lessons."""
        return {one.row.room for one in self._interrupted.values()}

    def taught(self, room: str) -> set[str]:
        """Get the tutors that teach in a room."""
        return {tutor for where, tutor in self._taught.values() if where == room}

    def called(self, room: str) -> dict[str, float]:
        """Get when tutors were called to a room who have not come yet."""
        return {tutor: at for (where, tutor), at in self._called.items() if where == room}

    def refused(self, room: str) -> dict[tuple[str, str], float]:
        """Get when learners, by identity, were refused a lesson with a tutor."""
        return {
            (identity, tutor): at
            for (where, tutor, identity), at in self._refused.items()
            if where == room
        }

    def forget_rooms(self, known: set[str]) -> None:
        """Forget refusals and calls of rooms that LiveKit no longer has."""
        self._called = {key: at for key, at in self._called.items() if key[0] in known}
        self._refused = {key: at for key, at in self._refused.items() if key[0] in known}
