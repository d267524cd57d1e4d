"""The collection of the running host's status."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from loqua_host.capacity.admission import Headroom
from loqua_host.capacity.machine import Usage
from loqua_host.contract.records import Mode
from loqua_host.core.endpoints import EndpointStatus
from loqua_host.core.versions import VersionStatus
from loqua_host.errors import LedgerError, LinkError, RoomsError
from loqua_host.lessons.decisions import Wait
from loqua_host.ops.status import LessonStatus, Phase, WorkerStatus
from loqua_host.ops.watch import BEAT_SECONDS, PROBE_TIMEOUT, Watch, Watched
from loqua_host.records.ledger import Backlog, LessonRow

NOW = 1_800_000_000.0


class WatchClock:
    """A clock that moves with the beat, later than asked by `late`, for one probe."""

    def __init__(self) -> None:
        self.seconds = NOW
        self.late = 0.0

    def now(self) -> float:
        """Return unix seconds."""
        return self.seconds

    def monotonic(self) -> float:
        """Return the same."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Advance the clock."""
        if seconds != BEAT_SECONDS:
            await asyncio.Event().wait()
        self.seconds += seconds + self.late
        await asyncio.sleep(0)


@dataclass
class Fakes:
    """The parts of the host that are watched."""

    rooms: Callable[[], Any] = set
    backlog: Callable[[], Backlog] = Backlog
    jobs: Callable[[], None] = lambda: None
    waits: tuple[Wait, ...] = ()
    phase: Phase = Phase.STARTING
    stale_config: str | None = None
    refused_key: str | None = None
    certificate_left: float | None = None
    lessons: list[tuple[LessonRow, Mode]] = field(default_factory=list)
    workers: list[Any] = field(default_factory=lambda: [worker()])


ROW = LessonRow("0123456789", "v", "v", "maria", "room", "grammar", "agent", NOW - 60, restarts=1)
ANSWERED = EndpointStatus(NOW - 5, 0.1)
SPOKEN = VersionStatus("v1", deprecated=True, sunset=NOW)
HOSTED = SimpleNamespace(name="grammar", agent_name="grammar-specialist", max_jobs=2)


def worker(
    *, online: bool = True, busy: int = 1, is_new: bool = False, leaving: bool = False
) -> SimpleNamespace:
    """Return a worker of the grammar tutor."""
    left = asyncio.Event()
    if leaving:
        left.set()
    return SimpleNamespace(
        tutor=HOSTED, online=online, busy=busy, is_new=is_new, leaving=left, stuck=False
    )


@pytest.fixture
def clock() -> WatchClock:
    """Return the clock."""
    return WatchClock()


@pytest.fixture
def fakes() -> Fakes:
    """Return parts of which all is well."""
    return Fakes()


@pytest.fixture
def watch(fakes: Fakes, clock: WatchClock, tmp_path: Path) -> Watch:
    """Return a watch of these parts."""

    async def counts() -> Any:
        answer = fakes.rooms()
        return await answer if asyncio.iscoroutine(answer) else answer

    async def backlog() -> Backlog:
        return fakes.backlog()

    async def jobs() -> None:
        fakes.jobs()

    async def left() -> float:
        return 86_400.0

    parts: dict[str, Any] = {
        "phase": lambda: fakes.phase,
        "stale_config": lambda: fakes.stale_config,
        "refused_key": lambda: fakes.refused_key,
        "certificate_left": lambda: fakes.certificate_left,
        "secret_failures": lambda: 7,
        "workers": lambda: fakes.workers,
        "lessons": SimpleNamespace(live=lambda: fakes.lessons),
        "waiting": lambda: fakes.waits,
        "headroom": lambda: Headroom(3, "processors"),
        "usage": lambda: Usage(2.0, 0.0, 1000, 250),
        "rooms": SimpleNamespace(counts=counts),
        "api": SimpleNamespace(
            agent_token_seconds_left=left,
            user_token_seconds_left=lambda: 300.0,
            endpoints=lambda: {"context": ANSWERED},
            version=SPOKEN,
        ),
        "jobs": jobs,
        "ledger": SimpleNamespace(backlog=backlog, busy_seconds=1.5, failures=3, spooled=2),
    }
    return Watch(Watched(local_state=tmp_path, **parts), clock)


async def run(watch: Watch) -> None:
    """Run the watch for a while."""
    task = asyncio.create_task(watch.run())
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def test_what_was_never_asked_is_not_made_up(watch: Watch) -> None:
    """Before the first probe."""
    status = watch.look()
    assert (status.rooms, status.ledger, status.agent_jwt_left) == (None, None, None)


async def test_workers_and_lessons_are_seen_without_the_learner(watch: Watch, fakes: Fakes) -> None:
    """A lesson is known by a part of the host's own id."""
    fakes.lessons = [(ROW, Mode.CACHE, {"tts": 1})]
    status = watch.look()
    assert status.workers == (WorkerStatus("grammar", "grammar-specialist", True, 1, 2),)
    assert status.lessons == (
        LessonStatus("01234567", "grammar", "cache", NOW - 60, 1, {"tts": 1}),
    )
    assert "maria" not in repr(status)


async def test_a_tutor_s_workers_are_seen_as_one(watch: Watch, fakes: Fakes) -> None:
    """While one takes over, the tutor is there; its last jobs count when it leaves for good."""
    fakes.workers = [worker(leaving=True), worker(online=False, is_new=True, busy=0)]
    [seen] = watch.look().workers
    assert (seen.online, seen.is_new, seen.leaving, seen.busy) == (False, True, False, 1)
    fakes.workers = [worker(leaving=True), worker()]
    [seen] = watch.look().workers
    assert (seen.online, seen.is_new, seen.leaving, seen.busy) == (True, False, False, 2)
    fakes.workers = [worker(leaving=True)]
    [seen] = watch.look().workers
    assert (seen.online, seen.is_new, seen.leaving, seen.busy) == (True, False, True, 1)


async def test_rooms_ledger_and_jwt_are_asked(watch: Watch, fakes: Fakes) -> None:
    """Over and over."""
    fakes.backlog = lambda: Backlog(records=3)
    await run(watch)
    status = watch.look()
    assert status.rooms is not None
    assert status.ledger is not None
    assert (status.rooms.failure, status.ledger.failure) == (None, None)
    assert (status.backlog, status.agent_jwt_left) == (Backlog(records=3), 86_400.0)
    assert status.ledger_busy == 1.5
    assert status.ledger_failures == 3


async def test_failures_are_reported_in_their_own_words_and_pending_entries_are_remembered(
    watch: Watch, fakes: Fakes
) -> None:
    """An unreadable ledger keeps its last figures."""
    fakes.backlog = lambda: Backlog(records=3)
    await run(watch)

    def fail(error: Exception) -> Any:
        raise error

    fakes.rooms = lambda: fail(RoomsError("LiveKit refuses"))
    fakes.backlog = lambda: fail(LedgerError("the disk is full"))
    fakes.jobs = lambda: fail(LinkError("no process"))
    await run(watch)
    status = watch.look()
    assert status.jobs is not None
    assert status.jobs.failure == "no process"
    assert status.rooms is not None
    assert status.ledger is not None
    assert (status.rooms.failure, status.ledger.failure) == ("LiveKit refuses", "the disk is full")
    assert status.backlog == Backlog(records=3)


async def test_what_does_not_answer_is_not_waited_for(
    watch: Watch, fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other probes go on."""
    monkeypatch.setattr("loqua_host.ops.watch.PROBE_TIMEOUT", 0.01)
    fakes.rooms = asyncio.Event().wait
    task = asyncio.create_task(watch.run())
    async with asyncio.timeout(PROBE_TIMEOUT):
        while watch.look().ledger is None:  # noqa: ASYNC110  # a watch tells nobody that it looked
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    rooms = watch.look().rooms
    assert rooms is not None
    assert rooms.failure == "no answer within 0.01 s"


async def test_the_loop_s_delay_is_measured_by_a_beat(watch: Watch, clock: WatchClock) -> None:
    """The longest lately."""
    await run(watch)
    assert watch.look().lag == pytest.approx(0.0, abs=1e-3)
    clock.late = 0.75
    await run(watch)
    clock.late = 0.0
    await run(watch)
    assert watch.look().lag == pytest.approx(0.75)


async def test_nobody_waits_for_a_host_that_is_not_serving(watch: Watch, fakes: Fakes) -> None:
    """Others will come to them."""
    fakes.waits = (Wait("grammar", 5.0),)
    assert watch.look().waiting == ()
    fakes.phase = Phase.SERVING
    assert (watch.look().waiting, watch.look().longest_wait) == (fakes.waits, 5.0)
    fakes.phase = Phase.DRAINING
    assert watch.look().waiting == ()


def test_the_machine_s_memory_and_the_room_for_lessons_are_seen(watch: Watch) -> None:
    """The values are current."""
    assert (watch.look().memory, watch.look().headroom) == (0.25, Headroom(3, "processors"))


def test_those_who_know_are_asked_for_their_state_at_each_look(watch: Watch, fakes: Fakes) -> None:
    """Earlier states are not stored."""
    status = watch.look()
    assert (status.stale_config, status.refused_key, status.certificate_left) == (None, None, None)
    assert (status.endpoints, status.secret_failures) == ({"context": ANSWERED}, 7)
    assert status.api_version == SPOKEN
    fakes.stale_config, fakes.refused_key, fakes.certificate_left = "a: wrong", "no such key", 90.0
    status = watch.look()
    said = (status.stale_config, status.refused_key, status.certificate_left)
    assert said == ("a: wrong", "no such key", 90.0)


async def test_a_probe_that_nobody_foresaw_to_fail_is_an_outcome(
    watch: Watch, fakes: Fakes
) -> None:
    """Health says so, and looks again."""
    fakes.rooms = lambda: 1 / 0
    await run(watch)
    outcome = watch.look().rooms
    assert outcome is not None
    assert outcome.failure == "ZeroDivisionError"
    assert watch.look().ledger is not None
