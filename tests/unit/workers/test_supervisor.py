"""The supervisor: each worker is restarted, replaced and stopped independently."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog
from tests.unit.workers.conftest import FakeWorker

from loqua_host.observability.metrics import Instruments
from loqua_host.system.tasks import background
from loqua_host.testing.virtual_time import VirtualLoop
from loqua_host.workers.metrics import WorkerMetrics
from loqua_host.workers.registry import WorkerRegistry
from loqua_host.workers.supervisor import SLOWER_SECONDS, Supervisor

LOOP = VirtualLoop


@dataclass
class SupervisedHost:
    """A supervisor without pauses, its registry, and the effects on lessons."""

    supervisor: Any
    registry: Any
    announced: list[set[str]] = field(default_factory=list)
    ended: list[set[str]] = field(default_factory=list)

    async def announce_departure(self, jobs: Collection[str]) -> None:
        """Note which lessons hear that their worker leaves."""
        self.announced.append(set(jobs))

    async def cut_off(self, jobs: Collection[str]) -> None:
        """Note which lessons are cut off."""
        self.ended.append(set(jobs))

    async def start(self, *workers: FakeWorker) -> None:
        """Start workers and wait for their registration."""
        for worker in workers:
            self.supervisor.start(worker)
        async with asyncio.timeout(30):
            await self.supervisor.registered()

    async def gone(self, worker: FakeWorker) -> None:
        """Wait until a worker is off the registry."""
        async with asyncio.timeout(30):
            while worker in self.registry.workers:  # noqa: ASYNC110  # as an onlooker would
                await asyncio.sleep(0)


@pytest.fixture
async def host(instruments: Instruments) -> AsyncIterator[SupervisedHost]:
    """Yield what supervises the workers of a host."""
    async with background() as tasks:
        host = SupervisedHost(None, WorkerRegistry())
        metrics = WorkerMetrics(instruments)
        host.supervisor = Supervisor(host.registry, host, tasks, lambda: -0.5, metrics)
        yield host


async def test_a_failing_worker_is_run_again_and_leaves_the_others_alone(
    host: SupervisedHost, instruments: Instruments
) -> None:
    """Each failure is logged with the tutor's name, and counted."""
    bad, good = FakeWorker("bad", failures=3), FakeWorker("good")
    with structlog.testing.capture_logs() as logs:
        await host.start(bad, good)
    assert (bad.runs, good.runs) == (4, 1)
    assert [(log["event"], log["tutor"]) for log in logs] == [("worker.failed", "bad")] * 3
    read = instruments.registry.get_sample_value
    assert read("loqua_worker_failures_total", {"tutor": "bad"}) == 3


async def test_a_worker_that_does_not_register_does_not_keep_the_others_waiting(
    host: SupervisedHost,
) -> None:
    """Its tutor may hang at import; of a host whose workers all do, LiveKit may be down."""
    hung, good = FakeWorker("hung"), FakeWorker("good")
    hung.may_register.clear()
    good.may_register.clear()
    host.supervisor.start(hung)
    host.supervisor.start(good)
    ready = asyncio.create_task(host.supervisor.registered())
    await asyncio.sleep(60)
    assert not ready.done()
    good.may_register.set()
    async with asyncio.timeout(SLOWER_SECONDS + 1):
        await ready
    assert not hung.registered.is_set()


async def test_a_worker_that_ends_by_itself_is_a_failing_one(host: SupervisedHost) -> None:
    """Run again without a pause, it could end thousands of times a second."""

    class Quitter(FakeWorker):
        async def run(self) -> None:
            self.runs += 1
            if self.runs > 3:
                await super().run()

    quitter = Quitter("quitter")
    with structlog.testing.capture_logs() as logs:
        await host.start(quitter)
    assert [(log["event"], log["why"]) for log in logs] == [
        ("worker.failed", "it ended by itself")
    ] * 3


async def test_pauses_grow_up_to_a_bound(host: SupervisedHost) -> None:
    """A LiveKit server that is away is not knocked at without end."""
    pauses: list[float] = []

    async def rest(_worker: FakeWorker, seconds: float) -> None:
        pauses.append(seconds)

    host.supervisor._jitter = lambda: 0.5
    host.supervisor._rest = rest  # time passes at once
    with structlog.testing.capture_logs() as logs:
        await host.start(FakeWorker("bad", failures=8))
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert len(logs) == 8


async def test_stopping_does_not_wait_for_a_pause(host: SupervisedHost) -> None:
    """A worker that rests is not run again."""
    worker = FakeWorker("bad", failures=99)
    host.supervisor._jitter = lambda: 99.0
    host.supervisor.start(worker)
    while not worker.runs:  # noqa: ASYNC110  # as an onlooker would
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await host.supervisor.stop("host_stopping", 30)
    assert worker.runs == 1


async def test_all_workers_stop_side_by_side_within_one_time(host: SupervisedHost) -> None:
    """Each has until the same moment, and their lessons hear of it."""
    workers = FakeWorker("one", jobs=frozenset({"a"})), FakeWorker("two", jobs=frozenset({"b"}))
    await host.start(*workers)
    async with asyncio.timeout(30):
        await host.supervisor.stop("host_stopping", 30)
    [one], [two] = (worker.departures for worker in workers)
    assert one is two
    assert (one.reason, 29 < one.seconds_left <= 30) == ("host_stopping", True)
    assert host.announced == [{"a"}, {"b"}]
    assert host.ended == []
    assert host.registry.workers == ()


async def test_a_worker_retires_alone(host: SupervisedHost) -> None:
    """It takes no jobs any more, its lessons hear of it, and it goes when they are over."""
    old, other = FakeWorker("old", jobs=frozenset({"a"})), FakeWorker("other")
    old.may_stop.clear()
    await host.start(old, other)
    host.supervisor.drain("old", "tutor_disabled", 30)
    assert old.leaving.is_set()
    await old.draining.wait()
    assert host.announced == [{"a"}]
    assert host.registry.workers == (old, other)
    old.may_stop.set()
    await host.gone(old)
    assert old.runs == other.runs == 1
    assert not other.leaving.is_set()


async def test_a_worker_that_left_before_it_was_registered_is_not_waited_for(
    host: SupervisedHost,
) -> None:
    """The host is ready without it."""
    never, other = FakeWorker("never"), FakeWorker("other")
    never.may_register.clear()
    hiring = asyncio.create_task(host.start(never, other))
    while not other.registered.is_set():  # noqa: ASYNC110  # as an onlooker would
        await asyncio.sleep(0)
    host.supervisor.drain("never", "tutor_disabled", 30)
    async with asyncio.timeout(30):
        await hiring


async def test_a_successor_takes_over_without_waiting_for_the_last_lesson(
    host: SupervisedHost,
) -> None:
    """The one before takes jobs until the successor is registered, and none from then on."""
    old, new = FakeWorker("tutor"), FakeWorker("tutor")
    old.may_stop.clear()
    new.may_register.clear()
    await host.start(old)
    replacing = asyncio.create_task(host.supervisor.replace(new, "tutor_changed", 30))
    while not new.runs:  # noqa: ASYNC110  # as an onlooker would
        await asyncio.sleep(0)
    assert not old.leaving.is_set()
    new.may_register.set()
    async with asyncio.timeout(30):
        await replacing
    assert host.registry.serving("tutor") == (new,)
    assert host.registry.workers == (old, new)
    old.may_stop.set()
    await host.gone(old)


async def test_a_successor_that_livekit_does_not_take_is_not_waited_for_without_end(
    host: SupervisedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on knocking."""
    monkeypatch.setattr("loqua_host.workers.supervisor.REGISTER_SECONDS", 0.01)
    old, new = FakeWorker("tutor"), FakeWorker("tutor")
    new.may_register.clear()
    await host.start(old)
    async with asyncio.timeout(30):
        await host.supervisor.replace(new, "tutor_changed", 30)
    await host.gone(old)
    assert host.registry.workers == (new,)


async def test_stopping_waits_for_a_worker_that_is_leaving_already(host: SupervisedHost) -> None:
    """Its lessons have no longer than the others, and hear of that."""
    old = FakeWorker("old", jobs=frozenset({"a"}))
    old.may_stop.clear()
    await host.start(old)
    host.supervisor.drain("old", "tutor_disabled", 30)
    stopping = asyncio.create_task(host.supervisor.stop("host_stopping", 5))
    while len(host.announced) < 2:  # noqa: ASYNC110  # as an onlooker would
        await asyncio.sleep(0)
    assert not stopping.done()
    old.may_stop.set()
    async with asyncio.timeout(30):
        await stopping
    assert [one.reason for one in old.departures] == ["tutor_disabled", "host_stopping"]


async def test_lessons_that_are_not_over_in_time_are_cut_off(host: SupervisedHost) -> None:
    """Before their worker leaves LiveKit, so that they are not taken for crashed."""
    slow, other = FakeWorker("slow", jobs=frozenset({"a"})), FakeWorker("other")
    slow.may_stop.clear()
    await host.start(slow, other)
    with structlog.testing.capture_logs() as logs:
        async with asyncio.timeout(30):
            await host.supervisor.stop("host_stopping", 0)
    assert host.ended == [{"a"}]
    assert slow.closed
    assert [log["tutor"] for log in logs if log["event"] == "worker.drain_cut_off"] == ["slow"]
    assert host.registry.workers == ()


async def test_a_worker_that_fails_to_stop_is_gone_all_the_same(host: SupervisedHost) -> None:
    """An exception in one worker does not end another."""
    bad, good = FakeWorker("bad"), FakeWorker("good")

    async def fail() -> None:
        raise RuntimeError("the channel is closed")

    bad.close = fail  # type: ignore[method-assign]  # a fake
    await host.start(bad, good)
    with structlog.testing.capture_logs() as logs:
        host.supervisor.drain("bad", "tutor_disabled", 30)
        await host.gone(bad)
    failed = [log for log in logs if log["event"] == "worker.failed"]
    assert [(log["tutor"], log["why"]) for log in failed] == [("bad", "the channel is closed")]
    assert host.registry.workers == (good,)
