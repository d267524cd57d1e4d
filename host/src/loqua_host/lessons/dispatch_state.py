"""The host's state of lessons and dispatches, written by lessons and read by the reconciler."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType

from loqua_host.contract.handoff import Handback, Handover
from loqua_host.link.server import JobRef
from loqua_host.records.ledger import LessonRow

from .decisions import Ask, Interrupted
from .departure import Departure

__all__ = ["Asked", "DispatchState"]

CALL_SECONDS = 2.0
"""Seconds after which a dispatch that no worker accepted counts as lost.

A host answers an offer within milliseconds. One that is frozen does not; LiveKit waits ten seconds
for it and then offers the job to no other. So the tutor is dispatched again, until LiveKit chooses
a host that answers.
"""

JOIN_SECONDS = 20.0
"""Seconds after which an accepted job that has not joined counts as lost.

The host notices an ended process at once. A live one may be slow: in a burst of starts on a busy
machine, the last one joins after 13 s, and cannot be distinguished from one that hangs.
"""


GONE_SECONDS = 20.0
"""Seconds after which a called specialist that is gone without a result has failed.

A living host restores a crashed job within seconds. After a host's death, LiveKit shows its agents
for longer than others need to take over its lessons.
"""

NO_HANDBACKS: Mapping[str, Handback] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Called:
    """A dispatched tutor: the time, the learner if this host dispatched it, and its job, if any."""

    at: float
    identity: str | None
    job: str | None = None


@dataclass(frozen=True, slots=True)
class _Lost:
    """A job that ended without a lesson: when, and its agent, which stays in the room a while."""

    at: float
    agent: str


@dataclass(eq=False, slots=True)
class Asked:
    """A specialist that a tutor called.

    Attributes:
        user_id: For which learner.
        since: Since when, in monotonic seconds.
        handover: The information for the specialist; None if an earlier job has called it, so that
            it is not dispatched again.
        came: Set when its lesson starts.
        over: The result, when its lesson has ended for good or was refused.
        gone_since: Since when it has been neither in the room nor on its way, in monotonic seconds;
            None if it is there or has not come yet.
    """

    user_id: str
    since: float
    handover: Handover | None
    came: asyncio.Event = field(default_factory=asyncio.Event)
    over: "asyncio.Future[Handback]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    gone_since: float | None = None

    @property
    def ask(self) -> Ask:
        """The call as the reconciler sees it."""
        due = self.handover is not None and not self.came.is_set()
        return Ask(self.user_id, self.since, due=due)


class DispatchState:
    """Running, dispatched, interrupted and refused lessons, by room and tutor.

    Args:
        monotonic: A monotonic clock, in seconds.
        departure_of: Returns the departure of a job's worker, by the job's id; None if it stays.

    Attributes:
        changed: Set whenever the reconciler should run.
        changed_rooms: Where a lesson has ended, or LiveKit has said that something happened, until
            the reconciler reads them.
        shared: Whether other hosts serve these rooms too.
        elsewhere: The specialists that other hosts run, as agent names by tutor.
        waiting: The rooms in which a learner waits for capacity, each with the tutor, at the last
            reconciliation.
        leaving: Whether this host stops, and leaves interrupted lessons to other hosts.
        standby: Whether another region teaches, so that this host only goes on with its lessons.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        departure_of: Callable[[str], Departure | None] = lambda _job: None,
    ) -> None:
        self._monotonic = monotonic
        self.departure_of = departure_of
        self.changed = asyncio.Event()
        self.changed_rooms: set[str] = set()
        self.shared = False
        self.elsewhere: Mapping[str, str] = {}
        self.waiting: frozenset[tuple[str, str]] = frozenset()
        self.leaving = False
        self.standby = False
        # By room and job: rooms are looked up one by one, however many there are.
        self._taught: dict[str, dict[str, str]] = {}
        self._called: dict[tuple[str, str], _Called] = {}
        self._targets: dict[str, tuple[str, str]] = {}
        self._lost: dict[tuple[str, str], _Lost] = {}
        self._dead: dict[tuple[str, str], set[str]] = {}
        self._settled: set[tuple[str, str, str]] = set()
        self._interrupted: dict[str, Interrupted] = {}
        self._refused: set[tuple[str, str]] = set()
        self._over: dict[str, str] = {}
        self._asked: dict[tuple[str, str], Asked] = {}

    @contextmanager
    def asking(
        self, room: str, tutor: str, user_id: str, handover: Handover | None
    ) -> Iterator[Asked]:
        """Request a specialist for the duration of a block; without a handover, only await it."""
        asked = self._asked[room, tutor] = Asked(user_id, self._monotonic(), handover)
        if tutor in self._mine(room):
            asked.came.set()
        self.changed.set()
        try:
            yield asked
        finally:
            if self._asked.get((room, tutor)) is asked:  # otherwise, there is a newer request
                del self._asked[room, tutor]

    def asked(self, room: str) -> Mapping[str, Asked]:
        """Return the pending requests for specialists in a room, by tutor."""
        return {
            tutor: asked
            for (where, tutor), asked in self._asked.items()
            if where == room and not asked.over.done()
        }

    def on_called(self, room: str, tutor: str, identity: str) -> None:
        """Note that a tutor is being dispatched to a learner."""
        self._called[room, tutor] = _Called(self._monotonic(), identity)

    def on_not_called(self, room: str, tutor: str) -> None:
        """Note that the dispatch failed."""
        self._called.pop((room, tutor), None)

    def on_full(self, room: str, tutor: str) -> None:
        """Note that a job was refused for lack of capacity."""
        self._refused.add((room, tutor))
        self.changed.set()

    def refused(self, room: str) -> frozenset[str]:
        """Return the tutors that LiveKit does not dispatch again because this host refused the job.

        None if there are other hosts, which may have accepted it.
        """
        if self.shared:
            return frozenset()
        return frozenset(tutor for where, tutor in self._refused if where == room)

    def on_accepted(self, job: JobRef) -> None:
        """Note that a job was accepted, dispatched by this host or by LiveKit."""
        self._refused.discard((job.room, job.tutor))
        call = self._called.get((job.room, job.tutor))
        if call is not None and call.identity is not None and self._lasts(call):
            self._targets[job.job_id] = (job.room, call.identity)
        self._called[job.room, job.tutor] = _Called(self._monotonic(), None, job.job_id)
        if (job.room, job.tutor) in self._dead:
            self.changed.set()

    def on_dead(self, room: str, tutor: str, agents: Iterable[str]) -> None:
        """Note dead agents to remove once the job that follows them has been accepted.

        LiveKit renegotiates with the learner 0.2 s after a removal, and then not for 0.15 s (see
        host/docs/benchmarks.md). Removed at once, the dead would keep their successor silent.
        """
        self._dead.setdefault((room, tutor), set()).update(agents)

    def take_dead(self) -> list[tuple[str, str]]:
        """Return room and identity of each dead agent to remove now, once.

        Also of those whose successor's job nobody accepted.
        """
        awaited = self._awaited()
        due = [where for where in self._dead if where not in awaited]
        return [(where[0], agent) for where in due for agent in self._dead.pop(where)]

    def on_ended(self, job: JobRef) -> bool:
        """Note that a job's process has ended; return whether it had neither lesson nor refusal.

        Another tutor may be dispatched at once, unless the job before it was also lost shortly
        before: if no job survives until it joins, one is tried every `JOIN_SECONDS`.
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
        """Return the identities, by tutor, of lost jobs' agents that may still be in the room."""
        return {tutor: lost.agent for (where, tutor), lost in self._lost.items() if where == room}

    def on_taught(self, job: JobRef) -> None:
        """Note that a lesson has started."""
        self._taught.setdefault(job.room, {})[job.job_id] = job.tutor
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
        """Note that a job's lesson is over, which may free capacity."""
        self.changed_rooms.add(job.room)
        jobs = self._taught.get(job.room, {})
        jobs.pop(job.job_id, None)
        if not jobs:
            self._taught.pop(job.room, None)
        self._over[job.job_id] = job.room
        self.changed.set()

    def is_over(self, job_id: str) -> bool:
        """Return whether a job's lesson is over and the job is about to end."""
        return job_id in self._over

    def on_handed_back(self, room: str, tutor: str, handback: Handback) -> None:
        """Note the result of a specialist's lesson, if one was requested."""
        asked = self._asked.get((room, tutor))
        if asked is not None and not asked.over.done():
            asked.came.set()
            asked.over.set_result(handback)

    def on_seen(
        self,
        room: str,
        *,
        taught: Collection[str] = (),
        coming: Collection[str] = (),
        handbacks: Mapping[str, Handback] = NO_HANDBACKS,
    ) -> None:
        """Note who is in a room. This is how the host follows specialists on other hosts.

        Args:
            room: The room.
            taught: The tutors that other hosts teach with there.
            coming: The tutors whose agent is in the room, or that other hosts dispatch there.
            handbacks: The results in the ledger, by tutor.
        """
        for tutor, asked in self.asked(room).items():
            if handback := handbacks.get(tutor):
                self.on_handed_back(room, tutor, handback)
            elif tutor in taught:
                self._called.pop((room, tutor), None)
                asked.came.set()
                asked.gone_since = None
            elif tutor in {*self._mine(room), *self.called(room), *coming}:
                asked.gone_since = None
            elif asked.came.is_set():
                self._on_gone(tutor, asked)

    def _on_gone(self, tutor: str, asked: Asked) -> None:
        """Start the time in which a host can restore a specialist that left without a result."""
        now = self._monotonic()
        since = asked.gone_since = now if asked.gone_since is None else asked.gone_since
        if tutor not in self.elsewhere or now - since >= GONE_SECONDS:
            asked.over.set_result(Handback(outcome="failed"))

    def _mine(self, room: str) -> frozenset[str]:
        """Return the tutors of this host's lessons in a room, running or interrupted."""
        return self.taught(room) | {one.row.tutor for one in self.interrupted(room)}

    def on_interrupted(
        self, row: LessonRow, agent: str | None, since: float | None = None
    ) -> Interrupted:
        """Note that a lesson lost its job, or was found open when this host started.

        Args:
            row: The lesson.
            agent: The identity of its tutor in the room, if known.
            since: When its learner left, if it made room for another learner; default: now.
        """
        at = self._monotonic() if since is None else since
        self._interrupted[row.id] = Interrupted(row, agent, at, stepped_out=since is not None)
        self.changed.set()
        return self._interrupted[row.id]

    def on_resumed(self, row: LessonRow) -> Interrupted | None:
        """Note that a job has joined that resumes a lesson or starts a new one.

        Returns:
            The interrupted lesson, if this host knows it.
        """
        return self._interrupted.pop(row.id, None)

    def outage(self, lost: Interrupted | None) -> float | None:
        """Return how many seconds a lesson has had no tutor, if this host lost it."""
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

    def active_rooms(self) -> set[str]:
        """Return the rooms to which this host has called a tutor, or in which it has lost one."""
        return {room for room, _ in (*self._called, *self._asked, *self._lost)}

    def taught_rooms(self) -> set[str]:
        """Return the rooms in which this host teaches."""
        return {*self._taught}

    def taught(self, room: str) -> frozenset[str]:
        """Return the tutors that teach in a room."""
        return frozenset(self._taught.get(room, {}).values())

    def called(self, room: str) -> frozenset[str]:
        """Return the tutors that have been dispatched to a room and have not joined."""
        return frozenset(
            tutor
            for (where, tutor), call in self._called.items()
            if where == room and self._lasts(call)
        )

    def target_of(self, job: JobRef) -> str | None:
        """Return the identity of the learner for whom this host dispatched the job."""
        _, identity = self._targets.get(job.job_id, (job.room, None))
        return identity

    def awaited(self) -> list[str]:
        """List the dispatched tutors that will take capacity when their jobs are accepted."""
        return [tutor for _, tutor in self._awaited()]

    def goes_on(self, room: str, tutor: str) -> bool:
        """Return whether a job resumes a lesson, or this host or a tutor requested it."""
        where = (room, tutor)
        lost = {one.row.tutor for one in self.interrupted(room) if not one.stepped_out}
        return where in self._awaited() or tutor in lost or tutor in self.asked(room)

    def is_elsewhere(self, room: str, tutor: str) -> bool:
        """Return whether a job is left to the hosts of the region that teaches."""
        return self.standby and not self.goes_on(room, tutor)

    def ahead_of(self, room: str, tutor: str) -> list[str]:
        """List the tutors that take capacity before this one in this room.

        These are the tutors dispatched to other rooms and, if this one was not dispatched by this
        host, also those that learners in other rooms wait for.
        """
        called = self._awaited()
        first = called if (room, tutor) in called else called | self.waiting
        return [one for where, one in first if where != room]

    def _awaited(self) -> set[tuple[str, str]]:
        calls = self._called.items()
        return {where for where, call in calls if not call.job and self._lasts(call)}

    def closed_entries(self, room: str) -> frozenset[tuple[str, str]]:
        """Return entry and tutor of each lesson in a room that ended or was refused."""
        return frozenset((entry, tutor) for where, entry, tutor in self._settled if where == room)

    def forget_rooms(self, known: set[str]) -> None:
        """Forget the state of rooms that no longer exist, and dispatches that were lost."""
        self._called = {key: call for key, call in self._called.items() if self._lasts(call)}
        self._settled = {refusal for refusal in self._settled if refusal[0] in known}
        self._refused = {refusal for refusal in self._refused if refusal[0] in known}
        self._over = {job: room for job, room in self._over.items() if room in known}
        self._targets = {job: target for job, target in self._targets.items() if target[0] in known}
        self._lost = {where: lost for where, lost in self._lost.items() if where[0] in known}
        self._dead = {where: dead for where, dead in self._dead.items() if where[0] in known}

    def _arrived(self, job: JobRef) -> None:
        call = self._called.get((job.room, job.tutor))
        if call is not None and call.job in {None, job.job_id}:  # otherwise, another job is pending
            del self._called[job.room, job.tutor]
        self._targets.pop(job.job_id, None)

    def _lasts(self, call: _Called) -> bool:
        return self._monotonic() - call.at < (JOIN_SECONDS if call.job else CALL_SECONDS)
