"""What learners are owed: pure decisions on what is seen of the rooms.

The rule: a learner who is owed a tutor has one, and only one of a kind. Owed are learners who
are present and identified, whose tutor runs here, and whose last lesson with it neither ended
nor was refused since they came in. Self-hosted LiveKit never dispatches again by itself, not
after a crash and not after a full house (livekit/agents #1472).

Entries are LiveKit's `sid` of a participant, new with each entering: what was settled in an
entry is notified from what is owed in the next without comparing the clocks of two machines.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from loqua_host.records.ledger import CRASH_LOOP, MAX_CRASHES, LessonRow

__all__ = [
    "FAREWELL_SECONDS",
    "RELOAD_SECONDS",
    "AbsentLearner",
    "Action",
    "Ask",
    "Call",
    "Capacity",
    "Close",
    "Interrupted",
    "NotifyWaiting",
    "PresentLearner",
    "RequestStepOut",
    "RoomSnapshot",
    "decide",
    "waits",
]

DISPATCH_GRACE = 3.0
"""Seconds that LiveKit itself has to bring a tutor to a learner who has just come in."""

RELOAD_SECONDS = 2.0
"""Seconds that a place is kept for a learner who reloads the page, whoever waits for one."""

FAREWELL_SECONDS = 20.0
"""Seconds for the tutor's voice to come once more, and apologise, without the tutor."""


@dataclass(frozen=True, slots=True)
class PresentLearner:
    """An identified learner in a room.

    Attributes:
        entry: LiveKit's `sid` of the participant.
        joined_at: Unix seconds, by LiveKit's clock; only notified from one another.
        seen_at: When this host saw the entry first, by its monotonic clock.
        notified: Whether the learner has been notified to wait.
    """

    user_id: str
    identity: str
    entry: str
    joined_at: float
    seen_at: float
    notified: bool = False


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A lesson that lost its job and was not closed.

    Attributes:
        row: The lesson, with its last progress and how often it was restored already.
        agent: The identity of the dead tutor in the room, if this host knows it.
        since: By this host's monotonic clock.
        stepped_out: Whether its job left it on purpose, with its learner away.
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
    """A tutor's wish for a specialist: for which learner, and since when (monotonic seconds)."""

    user_id: str
    since: float


@dataclass(frozen=True, slots=True)
class RoomSnapshot:
    """What is seen of one room.

    Attributes:
        learners: Identified learners, first come first.
        wanted: Tutors of this host that the room's dispatches name.
        taught: Tutors of this host with a running lesson or an agent in the room.
        interrupted: Lessons of the room that lost their job.
        absent: Lessons of this host in the room whose learner is not there.
        called: Tutors that were called or accepted just now and have not come yet.
        refused: Tutors whose dispatch by LiveKit this host refused for want of a place, where
            no other host could take it: LiveKit sends no other.
        closed_entries: Entries, with the tutor, whose lesson ended or was refused.
        asked: Specialists whom the learner's tutor asked for: now, whatever was settled.
        since: Since when LiveKit has answered, in monotonic seconds: nobody could enter before.
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
    """Capacity free for lessons: in the host as a whole, and for each tutor that runs here.

    Attributes:
        ending: The tutors of jobs whose lesson is over and whose place is free in a moment.
        measured: Whether those of the host are what the machine carries. Then lessons that go on
            need none: who is here already stays, whatever the machine does.
    """

    host: int
    tutors: Mapping[str, int]
    ending: tuple[str, ...] = ()
    measured: bool = False

    def has(self, tutor: str, *, goes_on: bool = False) -> bool:
        """Return whether a job for this tutor is accepted.

        Args:
            tutor: Its name.
            goes_on: Whether the learner has had a place already: the lesson was interrupted, or
                another tutor asked for this one.
        """
        carried = self.host > 0 or (self.measured and goes_on)
        return carried and self.tutors.get(tutor, 0) > 0

    def less(self, taken: Iterable[str]) -> "Capacity":
        """Return what is left when these tutors have taken a place each."""
        return self._changed(taken, -1)

    def more(self, given: Iterable[str]) -> "Capacity":
        """Return what there is when these tutors have given back a place each."""
        return self._changed(given, 1)

    def _changed(self, tutors: Iterable[str], by: int) -> "Capacity":
        left = dict(self.tutors)
        host = self.host
        for tutor in tutors:
            host += by
            if tutor in left:  # else it takes no jobs any more
                left[tutor] += by
        return replace(self, host=host, tutors=left)


@dataclass(frozen=True, slots=True)
class Call:
    """Bring a tutor to a learner: back to the lesson it lost, or to one that waits for it.

    To a lesson that has crashed too often it comes to be refused, which the learner hears.

    Attributes:
        since: When the lesson was interrupted, or this host saw the learner, or the tutor was
            asked for, by its monotonic clock; the first goes first.
        owed_since: When LiveKit's own time to bring the tutor was over.
        asked: Whether the learner has a tutor, who asked for this one and knows how to wait.
    """

    room: str
    tutor: str
    learner: PresentLearner
    since: float
    owed_since: float
    lesson: Interrupted | None = None
    asked: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether the learner has a place already."""
        return self.asked or (self.lesson is not None and not self.lesson.stepped_out)


@dataclass(frozen=True, slots=True)
class Close:
    """Write the record of a lesson that will not go on, from its last progress."""

    lesson: Interrupted
    reason: str


@dataclass(frozen=True, slots=True)
class RequestStepOut:
    """Have the job of an absent learner's lesson leave it open and go, for another learner.

    Attributes:
        call: What its place is for.
    """

    lesson: AbsentLearner
    call: Call


@dataclass(frozen=True, slots=True)
class NotifyWaiting:
    """Tell a learner that a tutor will come as soon as there is a place, or has come.

    Attributes:
        tutor: The one who will come.
        aloud: Whether it is said, too; not while another tutor teaches in the room.
    """

    room: str
    learner: PresentLearner
    waiting: bool
    tutor: str = ""
    aloud: bool = False


Action = Call | Close | RequestStepOut | NotifyWaiting


def decide(
    snapshots: Sequence[RoomSnapshot],
    places: Capacity,
    now: float,
    reconnect_timeout: float,
    others: float = 0.0,
) -> list[Action]:
    """Return what is to be done now, lost lessons first, then first come, first served.

    Args:
        snapshots: The rooms.
        places: What is free now.
        now: Monotonic seconds.
        reconnect_timeout: Seconds that an interrupted lesson waits for a learner who is gone.
        others: Seconds that other hosts have to take who finds no place here; 0 without any.
    """
    closures = [
        close
        for snapshot in snapshots
        for close in _closures(snapshot, places, now, reconnect_timeout)
    ]
    given_up = {close.lesson.row.id for close in closures}
    unserved = [
        call for snapshot in snapshots for call in _unserved(snapshot, given_up, places, now)
    ]
    calls: list[Action] = []
    waiting: list[Call] = []
    for call in sorted(unserved, key=_turn):
        if places.has(call.tutor, goes_on=call.goes_on):
            calls.append(call)
            places = places.less([call.tutor])
        elif call.asked and others:
            calls.append(call)  # This host alone knows of it, and LiveKit asks them all.
        elif not call.asked and now - call.owed_since >= others:
            waiting.append(call)
    notices = [notice for snapshot in snapshots for notice in _notices(snapshot, unserved, waiting)]
    return [*closures, *calls, *_given_away(snapshots, waiting, places, now), *notices]


def _given_away(
    snapshots: Sequence[RoomSnapshot], waiting: Iterable[Call], places: Capacity, now: float
) -> Iterator[RequestStepOut]:
    """Return which absent learners' places go to those who wait: the longest absent first.

    No more than it takes: who can have a place that is free in a moment needs no other.
    """
    coming = places.more(places.ending)
    absent = [one for it in snapshots for one in it.absent if now - one.since >= RELOAD_SECONDS]
    absent.sort(key=lambda one: one.since)
    for call in waiting:
        if not coming.has(call.tutor):
            helping = (one for one in absent if coming.more([one.row.tutor]).has(call.tutor))
            lesson = next(helping, None)
            if lesson is None:
                continue
            yield RequestStepOut(lesson, call)
            absent.remove(lesson)
            coming = coming.more([lesson.row.tutor])
        coming = coming.less([call.tutor])


def waits(snapshot: RoomSnapshot, places: Capacity, now: float) -> tuple[Call, ...]:
    """Return for whom in a room a tutor is missing, be it on its way or not."""
    return tuple(_unserved(replace(snapshot, called=frozenset(), asked={}), set(), places, now))


def _closures(
    snapshot: RoomSnapshot, places: Capacity, now: float, reconnect_timeout: float
) -> Iterator[Close]:
    present = {learner.user_id for learner in snapshot.learners}
    for lesson in snapshot.interrupted:
        if lesson.row.tutor not in places.tutors:
            yield Close(lesson, "tutor_disabled")
        elif lesson.row.crashes >= MAX_CRASHES and (
            lesson.row.user_id not in present or now - lesson.since > FAREWELL_SECONDS
        ):
            yield Close(lesson, CRASH_LOOP)
        elif (
            lesson.row.user_id not in present
            and now - max(lesson.since, snapshot.since) > reconnect_timeout
        ):
            yield Close(lesson, "learner_left")


def _unserved(
    snapshot: RoomSnapshot, given_up: set[str], places: Capacity, now: float
) -> Iterator[Call]:
    """Yield what the room's learners are owed: at most one call for each tutor."""
    lost = {one.row.tutor: one for one in reversed(snapshot.interrupted)}
    unserved = snapshot.wanted | lost.keys() | snapshot.asked.keys()
    for tutor in sorted(unserved - snapshot.taught - snapshot.called):
        lesson = lost.get(tutor)
        # A lesson that is being closed settles its entry: that is for the next look to see.
        if tutor in places.tutors and (lesson is None or lesson.row.id not in given_up):
            yield from _call(snapshot, tutor, lesson, now)


def _call(
    snapshot: RoomSnapshot, tutor: str, lesson: Interrupted | None, now: float
) -> Iterator[Call]:
    """Yield the call for a tutor, if somebody is here whom it is for."""
    ask = snapshot.asked.get(tutor)
    if lesson is not None:
        for one in _learners(snapshot, lesson.row.user_id)[:1]:
            asked, since = ask is not None, lesson.since
            yield Call(snapshot.room, tutor, one, since, since, lesson, asked=asked)
    elif ask is not None and (here := _learners(snapshot, ask.user_id)):
        yield Call(snapshot.room, tutor, here[0], ask.since, ask.since, asked=True)
    elif tutor in snapshot.wanted:
        waiting = [one for one in snapshot.learners if _waits(snapshot, one, tutor, now)]
        for one in waiting[:1]:
            yield Call(
                snapshot.room, tutor, one, one.seen_at, _unserved_since(snapshot, one, tutor)
            )


def _turn(call: Call) -> tuple[bool, float, float]:
    """Return what calls are sorted by; LiveKit's clock decides between those seen at once."""
    return call.lesson is None, call.since, call.learner.joined_at


def _unserved_since(snapshot: RoomSnapshot, learner: PresentLearner, tutor: str) -> float:
    """Return when LiveKit's time is over, which it is where its dispatch was refused."""
    return learner.seen_at + (0.0 if tutor in snapshot.refused else DISPATCH_GRACE)


def _learners(snapshot: RoomSnapshot, user_id: str) -> list[PresentLearner]:
    return [one for one in snapshot.learners if one.user_id == user_id]


def _waits(snapshot: RoomSnapshot, learner: PresentLearner, tutor: str, now: float) -> bool:
    """Return whether no entry by which the learner is here is settled with this tutor."""
    return now >= _unserved_since(snapshot, learner, tutor) and not any(
        (one.entry, tutor) in snapshot.closed_entries
        for one in snapshot.learners
        if one.user_id == learner.user_id
    )


def _notices(
    snapshot: RoomSnapshot, unserved: Sequence[Call], waiting: Sequence[Call]
) -> Iterator[NotifyWaiting]:
    """Notify learners without a place once; clear it when nothing is pending for them."""
    coming = bool(snapshot.called) or any(call.room == snapshot.room for call in unserved)
    missing = {call.learner.entry: call.tutor for call in waiting if call.room == snapshot.room}
    for learner in snapshot.learners:
        if tutor := missing.get(learner.entry):
            if not learner.notified:
                aloud = not snapshot.taught
                yield NotifyWaiting(snapshot.room, learner, waiting=True, tutor=tutor, aloud=aloud)
        elif learner.notified and not coming:
            yield NotifyWaiting(snapshot.room, learner, waiting=False)
