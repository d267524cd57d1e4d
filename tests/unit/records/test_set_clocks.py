"""Clock changes of the ledger's database, without effect on leases and calls."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import loqua_host
from loqua_host.records.leases import (
    LEASE,
    claim,
    claims_of_others,
    is_shared,
    renew_lease,
    take_over,
)
from loqua_host.records.rows import LessonRow
from loqua_host.testing.database import MemoryDatabase

STEPS = pytest.mark.parametrize("step", [-86_400.0, -3600.0, 3600.0, 86_400.0])


@dataclass
class DatabaseClock:
    """The database's clock."""

    seconds: float = 1_800_000_000.0

    def now(self) -> float:
        """Return unix seconds."""
        return self.seconds


@pytest.fixture
def clock() -> DatabaseClock:
    """Return the clock."""
    return DatabaseClock()


@pytest.fixture
def db(clock: DatabaseClock) -> MemoryDatabase:
    """Return a ledger that two hosts share."""
    database = MemoryDatabase(clock.now)
    for host in ("east", "west"):
        renew_lease(database, host)
    return database


def opened(db: MemoryDatabase, host: str, lesson: LessonRow) -> None:
    """Insert an open lesson of a host."""
    db.execute(
        "INSERT INTO lesson (id, session_id, visit, room, entry, tutor, agent_id, owner, key_id,"
        " user_id, user_blind_index, opened_at, state) VALUES (:id, :id, 'v', :room, '', :tutor,"
        " 'agent', :owner, '', 'maria', 'maria', 0.0, '{}')",
        {"id": lesson.id, "room": lesson.room, "tutor": lesson.tutor, "owner": host},
    )


@STEPS
def test_a_dead_host_counts_as_dead_within_a_lease(
    db: MemoryDatabase, clock: DatabaseClock, step: float, a_lesson: Callable[..., LessonRow]
) -> None:
    """Not an hour later, and not before the living had the time to renew theirs."""
    opened(db, "west", a_lesson())
    clock.seconds += step
    assert not renew_lease(db, "east")  # so that it takes over nothing yet
    clock.seconds += LEASE / 3
    assert renew_lease(db, "east")
    clock.seconds += LEASE
    renew_lease(db, "east")
    assert not is_shared(db, "east")
    assert take_over(db, "east", ["conversation"]) == 1
    clock.seconds -= step + 5 * LEASE / 3  # when its lease was still to last
    assert not is_shared(db, "east")


@STEPS
def test_who_lives_keeps_what_is_its_own(
    db: MemoryDatabase, clock: DatabaseClock, step: float, a_lesson: Callable[..., LessonRow]
) -> None:
    """A live host renews its lease before another takes over."""
    opened(db, "west", a_lesson())
    clock.seconds += step
    for _ in range(3):
        renewed = [host for host in ("east", "west") if renew_lease(db, host)]
        assert all(take_over(db, host, ["conversation"]) == 0 for host in renewed)
        clock.seconds += LEASE / 3
    assert is_shared(db, "east")


@STEPS
def test_a_call_that_came_to_nothing_is_over_in_its_time(
    db: MemoryDatabase, clock: DatabaseClock, step: float
) -> None:
    """Its learner would wait for as long as the step."""
    assert claim(db, "west", room="room", tutor="tutor", seconds=10.0, arrived=False)
    clock.seconds += step
    for host in ("east", "west"):
        renew_lease(db, host)
    clock.seconds += 10.0
    assert claims_of_others(db, "east", ["room"])["room"].called == frozenset()
    assert claim(db, "east", room="room", tutor="tutor", seconds=10.0, arrived=False)


OWN_CLOCK = {
    "core/clock.py",  # which all others are given
    "testing/virtual_time.py",  # measures the processes that virtual time waits for
    "testing/voice.py",  # LiveKit dates voice activity by it
}
"""The modules that read a clock of the machine; all others are given one."""


def test_a_clock_is_injected_wherever_one_is_read() -> None:
    """Also real time, for a thread: then it is the default of a parameter."""
    source = Path(loqua_host.__file__).parent
    found = {
        str(file.relative_to(source))
        for file in source.rglob("*.py")
        if not file.is_relative_to(source / "dev") and _reads(ast.parse(file.read_text("utf-8")))
    }
    assert found == OWN_CLOCK


def _reads(tree: ast.Module) -> bool:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(_clock(call.func) in {"time", "monotonic", "perf_counter"} for call in calls)


def _clock(node: ast.AST) -> str | None:
    """Return the name in the module `time` that this stands for."""
    match node:
        case ast.Attribute(ast.Name("time"), name):
            return name
    return None


WALL = {
    "core/clock.py",
    "diagnosis/api.py",  # compared with the API's clock, and with a token's end
    "diagnosis/livekit.py",  # compared with LiveKit's clock
    "diagnosis/reach.py",  # compared with a certificate's end
    "job/engines/eager.py",  # the end of an utterance, which LiveKit dates by it
    "job/engines/fallbacks.py",  # LiveKit dates streams by it
    "job/voice/audio_input.py",  # frames are compared with turns, which LiveKit dates by it
    "job/voice/own_voice.py",  # LiveKit dates who speaks by it
    "job/voice/speakers.py",  # likewise
    "records/sqlite.py",  # the start of a clock that never steps
    "settings/certificates.py",  # compared with a certificate's end
    "testing/voice.py",
}
"""The modules that name the wall clock: for moments that are kept, shown or compared with another
machine's, never for how long something took or is to take."""


def test_no_duration_is_measured_by_a_clock_that_may_be_set() -> None:
    """A new use of `time.time` is listed here if it is a moment, not a duration."""
    source = Path(loqua_host.__file__).parent
    found = {
        str(file.relative_to(source))
        for file in source.rglob("*.py")
        if not file.is_relative_to(source / "dev")
        and any(_clock(node) == "time" for node in ast.walk(ast.parse(file.read_text("utf-8"))))
    }
    assert found == WALL
