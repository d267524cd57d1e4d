"""What this host knows of the lessons in its rooms; lessons write it, the reconciler reads it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from loqua_host.contract.handoff import Handback, Handover
from loqua_host.link.server import JobRef
from loqua_host.records.ledger import LessonRow

from .decisions import Ask, Interrupted
from .departure import Departure

__all__ = ["Asked", "DispatchState"]

CALL_SECONDS = 10.0
"""Seconds after which a call that nobody accepted is taken to be lost."""

JOIN_SECONDS = 20.0
"""Seconds after which an accepted job that did not join is taken to be lost.

Of one whose process has ended the host knows at once. One that lives may be slow: in a burst of
starts on a busy machine the last joins after 13 s, and nothing tells it from one that hangs.
"""


@dataclass(frozen=True, slots=True)
class _Called:
    """A tutor on its way: since when, to whom if this host called it, and by which job, if any."""

    at: float
    identity: str | None
    job: str | None = None


@dataclass(frozen=True, slots=True)
class _Lost:
    """A job that ended without a lesson: when, and whom it leaves in the room for a while."""

    at: float
    agent: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A specialist whom a tutor asked for.

    Attributes:
        ask: For whom, and since when.
        handover: What it is to know.
        came: Set when its lesson begins.
        over: How it went, when it has ended without having to be restored, or was refused.
    """

    ask: Ask
    handover: Handover
    came: asyncio.Event = field(default_factory=asyncio.Event)
    over: "asyncio.Future[Handback]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class DispatchState:
    """Who is taught, called, interrupted or refused, by room and tutor.

    Args:
        monotonic: A clock that never steps, in seconds.
        departure_of: Returns when the worker of a job, by its id, leaves; None if it stays.

    Attributes:
        changed: Set whenever the reconciler has reason to look.
        shared: Whether other hosts serve these rooms, too.
        waiting: The rooms in which a learner waits for a place, each with the tutor, as of the
            last look.
        leaving: Whether this host stops, and leaves what is interrupted to the others.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        departure_of: Callable[[str], Departure | None] = lambda _job: None,
    ) -> None:
        self._monotonic = monotonic
        self.departure_of = departure_of
        self.changed = asyncio.Event()
        self.shared = False
        self.waiting: frozenset[tuple[str, str]] = frozenset()
        self.leaving = False
        self._taught: dict[str, tuple[str, str]] = {}
        self._called: dict[tuple[str, str], _Called] = {}
        self._meant: dict[str, tuple[str, str]] = {}
        self._lost: dict[tuple[str, str], _Lost] = {}
        self._settled: set[tuple[str, str, str]] = set()
        self._interrupted: dict[str, Interrupted] = {}
        self._refused: set[tuple[str, str]] = set()
        self._over: dict[str, str] = {}
        self._asked: dict[tuple[str, str], Asked] = {}

    @contextmanager
    def asking(self, room: str, tutor: str, user_id: str, handover: Handover) -> Iterator[Asked]:
        """Ask for a specialist for the length of a block."""
        asked = self._asked[room, tutor] = Asked(Ask(user_id, self._monotonic()), handover)
        self.changed.set()
        try:
            yield asked
        finally:
            if self._asked.get((room, tutor)) is asked:  # else the tutor has asked again meanwhile
                del self._asked[room, tutor]

    def asked(self, room: str) -> Mapping[str, Asked]:
        """Return the specialists who were asked into a room, by tutor, until they are done."""
        return {
            tutor: asked
            for (where, tutor), asked in self._asked.items()
            if where == room and not asked.over.done()
        }

    def on_called(self, room: str, tutor: str, identity: str) -> None:
        """Note that a tutor is being dispatched to a learner."""
        self._called[room, tutor] = _Called(self._monotonic(), identity)

    def on_not_called(self, room: str, tutor: str) -> None:
        """Note that the dispatch did not go out after all."""
        self._called.pop((room, tutor), None)

    def on_full(self, room: str, tutor: str) -> None:
        """Note that a job was refused as there is no place for it."""
        self._refused.add((room, tutor))
        self.changed.set()

    def refused(self, room: str) -> frozenset[str]:
        """Return the tutors whom LiveKit sends no more, as their job was refused and nobody else's.

        Another host may have taken the job.
        """
        if self.shared:
            return frozenset()
        return frozenset(tutor for where, tutor in self._refused if where == room)

    def on_accepted(self, job: JobRef) -> None:
        """Note that a job was accepted, called by this host or by LiveKit."""
        self._refused.discard((job.room, job.tutor))
        call = self._called.get((job.room, job.tutor))
        if call is not None and call.identity is not None and self._lasts(call):
            self._meant[job.job_id] = (job.room, call.identity)
        self._called[job.room, job.tutor] = _Called(self._monotonic(), None, job.job_id)

    def on_ended(self, job: JobRef) -> bool:
        """Note that a job's process has ended; False if it has had its lesson, or was refused one.

        Another tutor may be called at once, but not for a job that has ended soon after the one
        before it: where none lives to join, one is tried every `JOIN_SECONDS`.
        """
        where, now = (job.room, job.tutor), self._monotonic()
        call, before = self._called.get(where), self._lost.get(where)
        if call is None or call.job != job.job_id:
            return False
        self._lost[where] = _Lost(now, job.agent)
        if before is None or now - before.at >= JOIN_SECONDS:
            self._arrived(job)
            self.changed.set()
        return True

    def lost_agents(self, room: str) -> dict[str, str]:
        """Return by tutor the identities of dead agents that never taught and may still be seen."""
        return {tutor: lost.agent for (where, tutor), lost in self._lost.items() if where == room}

    def on_taught(self, job: JobRef) -> None:
        """Note that a lesson runs."""
        self._taught[job.job_id] = (job.room, job.tutor)
        self._arrived(job)
        self._lost.pop((job.room, job.tutor), None)
        if asked := self._asked.get((job.room, job.tutor)):
            asked.came.set()
        self.changed.set()

    def on_closed(self, job: JobRef, entry: str | None) -> None:
        """Note that a learner's lesson ended or was refused, for this entry into the room."""
        if entry:
            self._settled.add((job.room, entry, job.tutor))
        self._over[job.job_id] = job.room
        self._arrived(job)

    def on_over(self, job: JobRef) -> None:
        """Note that a job has no lesson any more, which may free a place."""
        self._taught.pop(job.job_id, None)
        self._over[job.job_id] = job.room
        self.changed.set()

    def is_over(self, job_id: str) -> bool:
        """Return whether a job has no lesson any more, and is about to end."""
        return job_id in self._over

    def on_handed_back(self, room: str, tutor: str, handback: Handback) -> None:
        """Note how it went with a specialist, if it was asked for."""
        asked = self._asked.get((room, tutor))
        if asked is not None and not asked.over.done():
            asked.came.set()
            asked.over.set_result(handback)

    def on_seen(self, room: str, tutors: frozenset[str], ended: frozenset[str]) -> None:
        """Note who is in a room: of a specialist on another host, that is all this one hears.

        Args:
            room: The room.
            tutors: Those in the room.
            ended: Those of which a lesson has ended there.
        """
        mine = self.taught(room) | {one.row.tutor for one in self.interrupted(room)}
        for tutor, asked in self.asked(room).items():
            call = self._called.get((room, tutor))
            if tutor in mine or (call is not None and call.job and self._lasts(call)):
                continue
            if tutor in tutors:  # Another host has taken the call.
                self._called.pop((room, tutor), None)
                asked.came.set()
            elif asked.came.is_set() and tutor not in self.called(room):
                outcome: Literal["taught", "failed"] = "taught" if tutor in ended else "failed"
                asked.over.set_result(Handback(outcome=outcome))

    def on_interrupted(
        self, row: LessonRow, agent: str | None, since: float | None = None
    ) -> Interrupted:
        """Note that a lesson lost its job, or was found open when this host started.

        Args:
            row: The lesson.
            agent: The identity of its tutor in the room, if this host knows it.
            since: When its learner left, if it stepped out for another's; by default now.
        """
        at = self._monotonic() if since is None else since
        self._interrupted[row.id] = Interrupted(row, agent, at, stepped_out=since is not None)
        self.changed.set()
        return self._interrupted[row.id]

    def on_resumed(self, row: LessonRow) -> Interrupted | None:
        """Note that a tutor has joined who goes on with a lesson, or teaches a new one.

        Returns the lesson as it was when it lost its job, if this host knows.
        """
        return self._interrupted.pop(row.id, None)

    def outage(self, lost: Interrupted | None) -> float | None:
        """Return for how many seconds a lesson has had no tutor, if this host lost one."""
        if lost is None or lost.agent is None or lost.stepped_out:
            return None
        return self._monotonic() - lost.since

    def drop_interrupted(self, lesson: Interrupted) -> bool:
        """Remove an interrupted lesson; return False if it was removed before."""
        return self._interrupted.pop(lesson.row.id, None) is not None

    def interrupted(self, room: str) -> tuple[Interrupted, ...]:
        """Return the interrupted lessons of a room."""
        return tuple(one for one in self._interrupted.values() if one.row.room == room)

    def all_interrupted(self) -> dict[str, Interrupted]:
        """Return all interrupted lessons, by id."""
        return dict(self._interrupted)

    def interrupted_rooms(self) -> set[str]:
        """Return the rooms that have interrupted lessons."""
        return {one.row.room for one in self._interrupted.values()}

    def taught(self, room: str) -> frozenset[str]:
        """Return the tutors that teach in a room."""
        return frozenset(tutor for where, tutor in self._taught.values() if where == room)

    def called(self, room: str) -> frozenset[str]:
        """Return the tutors that are on their way to a room."""
        return frozenset(
            tutor
            for (where, tutor), call in self._called.items()
            if where == room and self._lasts(call)
        )

    def meant(self, job: JobRef) -> str | None:
        """Return the identity of the learner that this host called the job for."""
        _, identity = self._meant.get(job.job_id, (job.room, None))
        return identity

    def awaited(self) -> list[str]:
        """List the tutors that were called and will take a place each as soon as they accept."""
        return [tutor for _, tutor in self._awaited()]

    def goes_on(self, room: str, tutor: str) -> bool:
        """Return whether a job goes on with a lesson, or was asked for or decided on here."""
        where = (room, tutor)
        lost = {one.row.tutor for one in self.interrupted(room) if not one.stepped_out}
        return where in self._awaited() or tutor in lost or tutor in self.asked(room)

    def ahead_of(self, room: str, tutor: str) -> list[str]:
        """List the tutors that take a place each before this one may, in this room.

        Those that were called elsewhere; and if this one was not, those whom somebody waits for.
        """
        called = self._awaited()
        first = called if (room, tutor) in called else called | self.waiting
        return [one for where, one in first if where != room]

    def _awaited(self) -> set[tuple[str, str]]:
        calls = self._called.items()
        return {where for where, call in calls if not call.job and self._lasts(call)}

    def closed_entries(self, room: str) -> frozenset[tuple[str, str]]:
        """Return the entries into a room, with the tutor, whose lesson ended or was refused."""
        return frozenset((entry, tutor) for where, entry, tutor in self._settled if where == room)

    def forget_rooms(self, known: set[str]) -> None:
        """Forget refusals of rooms that LiveKit no longer has, and calls that came to nothing."""
        self._called = {key: call for key, call in self._called.items() if self._lasts(call)}
        self._settled = {refusal for refusal in self._settled if refusal[0] in known}
        self._refused = {refusal for refusal in self._refused if refusal[0] in known}
        self._over = {job: room for job, room in self._over.items() if room in known}
        self._meant = {job: meant for job, meant in self._meant.items() if meant[0] in known}
        self._lost = {where: lost for where, lost in self._lost.items() if where[0] in known}

    def _arrived(self, job: JobRef) -> None:
        call = self._called.get((job.room, job.tutor))
        if call is not None and call.job in {None, job.job_id}:  # else another is on its way
            del self._called[job.room, job.tutor]
        self._meant.pop(job.job_id, None)

    def _lasts(self, call: _Called) -> bool:
        return self._monotonic() - call.at < (JOIN_SECONDS if call.job else CALL_SECONDS)
