"""What a learner is owed: pure decisions on what is seen of one room.

The rule: a learner who is owed a tutor has one, and only one of a kind. Owed are learners who
are present and identified, whose tutor runs here, and whose last lesson with it neither ended
nor was refused since they came in. Self-hosted LiveKit never dispatches again by itself, not
after a crash and not after a full house (livekit/agents #1472).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from loqua_host.records.ledger import LessonRow

__all__ = ["Action", "Close", "Dispatch", "Interrupted", "Present", "Restore", "Sight", "decide"]

RETURN_GRACE = 30.0
"""Seconds that an interrupted lesson waits for a learner who is not in the room."""

DISPATCH_GRACE = 5.0
"""Seconds that LiveKit itself has to bring a tutor to a learner who has just come in."""

PENDING_SECONDS = 20.0
"""Seconds after which a dispatch that brought nobody is taken to be lost."""

MAX_RESTARTS = 3
"""Restarts of one lesson; a tutor that crashes more often would do so again."""


@dataclass(frozen=True, slots=True)
class Present:
    """A learner in the room; `joined_at` in unix seconds."""

    user_id: str
    joined_at: float


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A lesson that lost its job and was not closed.

    Attributes:
        row: The lesson, with its last progress and how often it was restored already.
        agent: The identity of the dead tutor in the room, if this host knows it.
        since: Unix seconds.
    """

    row: LessonRow
    agent: str | None
    since: float


@dataclass(frozen=True, slots=True)
class Sight:
    """What is seen of one room.

    Attributes:
        learners: Identified learners, first come first.
        wanted: Tutors of this host that the room's dispatches name.
        taught: Tutors of this host with a running lesson or an agent in the room.
        interrupted: Lessons of the room that lost their job.
        pending: When a tutor was last called or accepted and has not come yet.
        settled: When a learner's last lesson with a tutor ended or was refused.
    """

    learners: tuple[Present, ...]
    wanted: frozenset[str]
    taught: frozenset[str]
    interrupted: tuple[Interrupted, ...]
    pending: Mapping[str, float]
    settled: Mapping[tuple[str, str], float]


@dataclass(frozen=True, slots=True)
class Restore:
    """Bring a tutor back to the lesson it lost."""

    lesson: Interrupted


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Bring a tutor to a learner who waits for it."""

    tutor: str


@dataclass(frozen=True, slots=True)
class Close:
    """Write the record of a lesson that will not go on, from its last progress."""

    lesson: Interrupted
    because: str


Action = Restore | Dispatch | Close


def decide(sight: Sight, free: Mapping[str, bool], now: float) -> list[Action]:
    """Say what is to be done in a room now; nothing, mostly.

    Args:
        sight: What is seen of it.
        free: The tutors that run here, by name, and whether they have a place free.
        now: Unix seconds.
    """
    return [*_interrupted(sight, free, now), *_waiting(sight, free, now)]


def _interrupted(sight: Sight, free: Mapping[str, bool], now: float) -> Iterator[Action]:
    present = {learner.user_id for learner in sight.learners}
    for lesson in sight.interrupted:
        if lesson.row.tutor not in free:
            yield Close(lesson, "tutor_disabled")
        elif lesson.row.restarts >= MAX_RESTARTS:
            yield Close(lesson, "crash_loop")
        elif lesson.row.user_id in present:
            if _may_call(sight, free, lesson.row.tutor, now):
                yield Restore(lesson)
        elif now - lesson.since > RETURN_GRACE:
            yield Close(lesson, "learner_left")


def _waiting(sight: Sight, free: Mapping[str, bool], now: float) -> Iterator[Action]:
    restored = {lesson.row.tutor for lesson in sight.interrupted}
    for tutor in sorted(sight.wanted - restored):
        owed = any(_is_owed(sight, learner, tutor, now) for learner in sight.learners)
        if owed and tutor in free and _may_call(sight, free, tutor, now):
            yield Dispatch(tutor)


def _is_owed(sight: Sight, learner: Present, tutor: str, now: float) -> bool:
    settled = sight.settled.get((learner.user_id, tutor), 0.0)
    return settled < learner.joined_at < now - DISPATCH_GRACE


def _may_call(sight: Sight, free: Mapping[str, bool], tutor: str, now: float) -> bool:
    called = sight.pending.get(tutor)
    pending = called is not None and now - called < PENDING_SECONDS
    return free[tutor] and not pending and tutor not in sight.taught
