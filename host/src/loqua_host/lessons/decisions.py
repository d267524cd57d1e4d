"""Pure decisions of the reconciler, from snapshots of the rooms to actions.

The invariant: every learner who needs a tutor has exactly one job of it. A learner needs a tutor
who is present and identified, whose tutor runs here, and whose lesson with it has neither ended nor
been refused since they entered. Self-hosted LiveKit never dispatches again by itself, neither after
a crash nor after a refusal for lack of capacity (livekit/agents #1472).

An entry is LiveKit's `sid` of a participant, which changes each time somebody enters. It
distinguishes a finished lesson from a new one without comparing clocks of two machines.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from loqua_host.records.ledger import CRASH_LOOP, MAX_CRASHES, LessonRow

__all__ = [
    "APOLOGY_SECONDS",
    "RELOAD_SECONDS",
    "AbsentLearner",
    "Action",
    "Ask",
    "Capacity",
    "Close",
    "DispatchTutor",
    "Interrupted",
    "NotifyWaiting",
    "PresentLearner",
    "RequestStepOut",
    "RoomSnapshot",
    "Wait",
    "decide",
    "waits",
]

DISPATCH_GRACE = 3.0
"""Seconds for LiveKit's own dispatch after a learner has entered."""

RELOAD_SECONDS = 2.0
"""Seconds that capacity is kept for a learner who left, for example to reload the page."""

APOLOGY_SECONDS = 20.0
"""Seconds that a lesson is kept so that a last job can apologise to its learner."""


@dataclass(frozen=True, slots=True)
class PresentLearner:
    """An identified learner in a room.

    Attributes:
        entry: LiveKit's `sid` of the participant.
        joined_at: Unix seconds by LiveKit's clock; only compared with each other.
        seen_at: When this host first saw the entry, by its monotonic clock.
        notified: Whether the learner has been notified to wait.
        notified_here: Whether that was by this host or, as far as one can see, by it before a
            restart. Hosts that run other tutors see the notice, too, and must not clear it.
    """

    user_id: str
    identity: str
    entry: str
    joined_at: float
    seen_at: float
    notified: bool = False
    notified_here: bool = False


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A lesson that lost its job and was not closed.

    Attributes:
        row: The lesson, with its last progress and its restarts.
        agent: The identity of the lost tutor in the room, if known.
        since: When it was interrupted, by this host's monotonic clock.
        stepped_out: Whether its job left it open on purpose, because its learner was away.
    """

    row: LessonRow
    agent: str | None
    since: float
    stepped_out: bool = False


@dataclass(frozen=True, slots=True)
class AbsentLearner:
    """A lesson that runs on this host while its learner is not in the room.

    Attributes:
        row: The lesson.
        since: When this host first saw the learner missing, by its monotonic clock.
    """

    row: LessonRow
    since: float


@dataclass(frozen=True, slots=True)
class Ask:
    """A tutor's call to a specialist: the learner, and the time of the call (monotonic seconds).

    Attributes:
        due: Whether it must be dispatched: not if an earlier job did, or its lesson has started.
    """

    user_id: str
    since: float
    due: bool = True


@dataclass(frozen=True, slots=True)
class RoomSnapshot:
    """A snapshot of one room.

    Attributes:
        learners: Identified learners, by time of entry.
        wanted: Tutors of this host that the room's dispatches name.
        taught: Tutors of this host with a running lesson or an agent in the room.
        interrupted: Lessons in the room that lost their job.
        absent: Lessons of this host in the room whose learner is not there.
        called: Tutors that were dispatched or accepted recently and have not joined yet.
        refused: Tutors whose job this host refused for lack of capacity, if there is no other
            host. LiveKit does not dispatch them again.
        closed_entries: Entries, each with the tutor, whose lesson has ended or was refused.
        asked: Specialists that the learner's tutor has called, whatever is closed_entries.
        since: Since when LiveKit has responded, in monotonic seconds; nobody could enter before.
    """

    room: str
    learners: tuple[PresentLearner, ...] = ()
    wanted: frozenset[str] = frozenset()
    taught: frozenset[str] = frozenset()
    interrupted: tuple[Interrupted, ...] = ()
    absent: tuple[AbsentLearner, ...] = ()
    called: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    closed_entries: frozenset[tuple[str, str]] = frozenset()
    asked: Mapping[str, Ask] = field(default_factory=dict)
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """Free capacity for lessons: of the host, and of each tutor that runs here.

    Attributes:
        ending: The tutors of jobs whose lesson is over and whose capacity is free in a moment.
        measured: Whether the host's capacity is measured (`auto`). Then it does not limit lessons
            that continue.
    """

    host: int
    tutors: Mapping[str, int]
    ending: tuple[str, ...] = ()
    measured: bool = False

    def fits(self, tutor: str, *, goes_on: bool = False) -> bool:
        """Return whether a job for this tutor is accepted.

        Args:
            tutor: Its name.
            goes_on: Whether the learner already had capacity: the lesson was interrupted, or
                another tutor called this one.
        """
        carried = self.host > 0 or (self.measured and goes_on)
        return carried and self.tutors.get(tutor, 0) > 0

    def reserve(self, taken: Iterable[str]) -> "Capacity":
        """Return the capacity left after one more job of each of these tutors."""
        return self._changed(taken, -1)

    def release(self, given: Iterable[str]) -> "Capacity":
        """Return the capacity after one job of each of these tutors has ended."""
        return self._changed(given, 1)

    def _changed(self, tutors: Iterable[str], by: int) -> "Capacity":
        left = dict(self.tutors)
        host = self.host
        for tutor in tutors:
            host += by
            if tutor in left:  # otherwise, its worker no longer takes jobs
                left[tutor] += by
        return replace(self, host=host, tutors=left)


@dataclass(frozen=True, slots=True)
class Wait:
    """The wait of a learner, who is not named, for a tutor.

    Attributes:
        seconds: How long it has lasted.
    """

    tutor: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DispatchTutor:
    """Dispatch a tutor for a learner, to resume an interrupted lesson or to start one.

    The job of a lesson that has crashed too often is refused, and apologises to the learner.

    Attributes:
        since: When the lesson was interrupted, this host saw the learner, or the tutor was
            called, by its monotonic clock. The earliest is served first.
        overdue_since: When the time for LiveKit's own dispatch was over.
        asked: Whether another tutor, which is with the learner, called this one.
    """

    room: str
    tutor: str
    learner: PresentLearner
    since: float
    overdue_since: float
    lesson: Interrupted | None = None
    asked: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether the learner already has capacity."""
        return self.asked or (self.lesson is not None and not self.lesson.stepped_out)


@dataclass(frozen=True, slots=True)
class Close:
    """Close a lesson that will not be resumed, with its last progress."""

    lesson: Interrupted
    reason: str


@dataclass(frozen=True, slots=True)
class RequestStepOut:
    """Make the job of an absent learner's lesson end, to free capacity for another learner.

    Attributes:
        call: The dispatch that needs the capacity.
    """

    lesson: AbsentLearner
    call: DispatchTutor


@dataclass(frozen=True, slots=True)
class NotifyWaiting:
    """Notify a learner that they wait for capacity, or no longer do.

    Attributes:
        tutor: The tutor that they wait for.
        aloud: Whether to play the announcement too; not while another tutor teaches in the room.
    """

    room: str
    learner: PresentLearner
    waiting: bool
    tutor: str = ""
    aloud: bool = False


Action = DispatchTutor | Close | RequestStepOut | NotifyWaiting


def decide(
    snapshots: Sequence[RoomSnapshot],
    capacity: Capacity,
    now: float,
    reconnect_timeout: float,
    others: float = 0.0,
) -> list[Action]:
    """Return the actions to take now: interrupted lessons first, then first come, first served.

    Args:
        snapshots: The rooms.
        capacity: The free capacity.
        now: Monotonic seconds.
        reconnect_timeout: Seconds that an interrupted lesson waits for a learner who left.
        others: Seconds that other hosts have to serve a learner without capacity here; 0 without
            other hosts.
    """
    closures = [
        close
        for snapshot in snapshots
        for close in _closures(snapshot, capacity, now, reconnect_timeout)
    ]
    given_up = {close.lesson.row.id for close in closures}
    unserved = [
        call for snapshot in snapshots for call in _unserved(snapshot, given_up, capacity, now)
    ]
    calls: list[Action] = []
    waiting: list[DispatchTutor] = []
    for call in sorted(unserved, key=_turn):
        if capacity.fits(call.tutor, goes_on=call.goes_on):
            calls.append(call)
            capacity = capacity.reserve([call.tutor])
        elif call.asked and others:
            # Only this host knows of the call, and LiveKit offers the job to all hosts.
            calls.append(call)
        elif not call.asked and now - call.overdue_since >= others:
            waiting.append(call)
    notices = [notice for snapshot in snapshots for notice in _notices(snapshot, unserved, waiting)]
    return [*closures, *calls, *_given_away(snapshots, waiting, capacity, now), *notices]


def _given_away(
    snapshots: Sequence[RoomSnapshot],
    waiting: Iterable[DispatchTutor],
    capacity: Capacity,
    now: float,
) -> Iterator[RequestStepOut]:
    """Return which absent learners' jobs must end for those who wait, the longest absent first.

    Only as many as needed: capacity that is free in a moment counts.
    """
    coming = capacity.release(capacity.ending)
    absent = [one for it in snapshots for one in it.absent if now - one.since >= RELOAD_SECONDS]
    absent.sort(key=lambda one: one.since)
    for call in waiting:
        if not coming.fits(call.tutor):
            helping = (one for one in absent if coming.release([one.row.tutor]).fits(call.tutor))
            lesson = next(helping, None)
            if lesson is None:
                continue
            yield RequestStepOut(lesson, call)
            absent.remove(lesson)
            coming = coming.release([lesson.row.tutor])
        coming = coming.reserve([call.tutor])


def waits(snapshot: RoomSnapshot, capacity: Capacity, now: float) -> tuple[DispatchTutor, ...]:
    """Return the dispatches that learners in a room wait for, whether already made or not."""
    return tuple(_unserved(replace(snapshot, called=frozenset(), asked={}), set(), capacity, now))


def _closures(
    snapshot: RoomSnapshot, capacity: Capacity, now: float, reconnect_timeout: float
) -> Iterator[Close]:
    present = {learner.user_id for learner in snapshot.learners}
    for lesson in snapshot.interrupted:
        if lesson.row.tutor not in capacity.tutors:
            yield Close(lesson, "tutor_disabled")
        elif lesson.row.crashes >= MAX_CRASHES and (
            lesson.row.user_id not in present or now - lesson.since > APOLOGY_SECONDS
        ):
            yield Close(lesson, CRASH_LOOP)
        elif (
            lesson.row.user_id not in present
            and now - max(lesson.since, snapshot.since) > reconnect_timeout
        ):
            yield Close(lesson, "learner_left")


def _unserved(
    snapshot: RoomSnapshot, given_up: set[str], capacity: Capacity, now: float
) -> Iterator[DispatchTutor]:
    """Yield the dispatches that a room needs, at most one for each tutor."""
    lost = {one.row.tutor: one for one in reversed(snapshot.interrupted)}
    unserved = snapshot.wanted | lost.keys() | snapshot.asked.keys()
    for tutor in sorted(unserved - snapshot.taught - snapshot.called):
        lesson = lost.get(tutor)
        # A called specialist may run on other hosts alone.
        runs = tutor in capacity.tutors or (tutor in snapshot.asked and lesson is None)
        # Closing a lesson settles its entry, which the next reconciliation sees.
        if runs and (lesson is None or lesson.row.id not in given_up):
            yield from _call(snapshot, tutor, lesson, now)


def _call(
    snapshot: RoomSnapshot, tutor: str, lesson: Interrupted | None, now: float
) -> Iterator[DispatchTutor]:
    """Yield the dispatch of a tutor, if a learner in the room needs it."""
    ask = snapshot.asked.get(tutor)
    if lesson is not None:
        for one in _learners(snapshot, lesson.row.user_id)[:1]:
            asked, since = ask is not None, lesson.since
            yield DispatchTutor(snapshot.room, tutor, one, since, since, lesson, asked=asked)
    elif ask is not None and ask.due and (here := _learners(snapshot, ask.user_id)):
        yield DispatchTutor(snapshot.room, tutor, here[0], ask.since, ask.since, asked=True)
    elif tutor in snapshot.wanted:
        waiting = [one for one in snapshot.learners if _waits(snapshot, one, tutor, now)]
        for one in waiting[:1]:
            yield DispatchTutor(
                snapshot.room, tutor, one, one.seen_at, _unserved_since(snapshot, one, tutor)
            )


def _turn(call: DispatchTutor) -> tuple[bool, float, float]:
    """Return the sort key of dispatches. LiveKit's clock orders those seen at the same time."""
    return call.lesson is None, call.since, call.learner.joined_at


def _unserved_since(snapshot: RoomSnapshot, learner: PresentLearner, tutor: str) -> float:
    """Return when LiveKit's time to dispatch is over: at once if its job was refused."""
    return learner.seen_at + (0.0 if tutor in snapshot.refused else DISPATCH_GRACE)


def _learners(snapshot: RoomSnapshot, user_id: str) -> list[PresentLearner]:
    return [one for one in snapshot.learners if one.user_id == user_id]


def _waits(snapshot: RoomSnapshot, learner: PresentLearner, tutor: str, now: float) -> bool:
    """Return whether none of the learner's entries is settled with this tutor."""
    return now >= _unserved_since(snapshot, learner, tutor) and not any(
        (one.entry, tutor) in snapshot.closed_entries
        for one in snapshot.learners
        if one.user_id == learner.user_id
    )


def _notices(
    snapshot: RoomSnapshot, unserved: Sequence[DispatchTutor], waiting: Sequence[DispatchTutor]
) -> Iterator[NotifyWaiting]:
    """Notify learners without capacity once, and clear the notice when it no longer applies."""
    coming = bool(snapshot.called) or any(call.room == snapshot.room for call in unserved)
    missing = {call.learner.entry: call.tutor for call in waiting if call.room == snapshot.room}
    for learner in snapshot.learners:
        if tutor := missing.get(learner.entry):
            if not learner.notified:
                aloud = not snapshot.taught
                yield NotifyWaiting(snapshot.room, learner, waiting=True, tutor=tutor, aloud=aloud)
        elif learner.notified_here and not coming:
            yield NotifyWaiting(snapshot.room, learner, waiting=False)
