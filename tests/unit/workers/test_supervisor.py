"""The supervisor: each worker is kept running for itself, and all stop when told."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from loqua_host.errors import LinkError
from loqua_host.lessons.hosted import HostedTutor
from loqua_host.link.server import JobRef
from loqua_host.workers.supervisor import Supervisor


@dataclass
class FakeWorker:
    """A worker that fails as often as it is told to, then serves until it is stopped."""

    name: str
    failures: int = 0
    jobs: dict[tuple[str, int], JobRef] = field(default_factory=dict)
    runs: int = 0
    places: int = 3
    stopped_with: float | None = None

    def __post_init__(self) -> None:
        """Make what the supervisor looks at."""
        self.tutor = HostedTutor(self.name, "", "agent", 1)
        self.registered = asyncio.Event()
        self._end = asyncio.Event()

    async def run(self) -> None:
        """Serve."""
        self.runs += 1
        if self.runs <= self.failures:
            raise RuntimeError("no connection")
        self.registered.set()
        await self._end.wait()

    async def stop(self, seconds: float) -> None:
        """Stop serving."""
        self.stopped_with = seconds
        self._end.set()

    def find_job(self, token: str, pid: int) -> JobRef | None:
        """Look a job up."""
        return self.jobs.get((token, pid))


def supervise(*workers: FakeWorker, jitter: Callable[[], float] = lambda: -0.5) -> Supervisor:
    """Give a supervisor whose pauses take no time, unless told otherwise."""
    supervisor: Any = Supervisor(workers, jitter)  # type: ignore[arg-type]  # fakes
    return supervisor  # type: ignore[no-any-return]


async def test_a_failing_worker_is_run_again_and_leaves_the_others_alone() -> None:
    """Each failure is logged with the tutor's name."""
    bad, good = FakeWorker("bad", failures=3), FakeWorker("good")
    supervisor = supervise(bad, good)
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(30):
            await supervisor.registered()
    assert (bad.runs, good.runs) == (4, 1)
    assert [(log["event"], log["tutor"]) for log in logs] == [("worker.failed", "bad")] * 3
    await supervisor.stop(1)
    async with asyncio.timeout(30):
        await running


async def test_pauses_grow_up_to_a_bound() -> None:
    """A LiveKit server that is away is not knocked at without end."""
    supervisor = supervise(FakeWorker("bad", failures=8))
    with structlog.testing.capture_logs() as logs:
        pauses: list[float] = []

        async def rest(seconds: float) -> None:
            pauses.append(seconds)

        supervisor._jitter = lambda: 0.5
        supervisor._rest = rest  # type: ignore[method-assign]  # time passes at once
        running = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(30):
            await supervisor.registered()
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert len(logs) == 8
    running.cancel()


async def test_stopping_does_not_wait_for_a_pause() -> None:
    """A worker that rests is not run again."""
    worker = FakeWorker("bad", failures=99)
    supervisor = supervise(worker, jitter=lambda: 99.0)
    running = asyncio.create_task(supervisor.run())
    while not worker.runs:  # noqa: ASYNC110  # as an onlooker would
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await supervisor.stop(30)
        await running
    assert worker.runs == 1


async def test_all_workers_stop_side_by_side_within_one_time() -> None:
    """Each gets the whole of it."""
    workers = FakeWorker("one"), FakeWorker("two")
    supervisor = supervise(*workers)
    running = asyncio.create_task(supervisor.run())
    await supervisor.registered()
    await supervisor.stop(30)
    async with asyncio.timeout(30):
        await running
    assert [worker.stopped_with for worker in workers] == [30, 30]


async def test_a_job_is_found_whichever_tutor_it_is_of() -> None:
    """By its token and its process together."""
    job = JobRef("job", "room", "two")
    supervisor = supervise(FakeWorker("one"), FakeWorker("two", jobs={("token", 7): job}))
    assert supervisor.authorise("token", 7) == job
    for token, pid in (("token", 8), ("other", 7)):
        with pytest.raises(LinkError, match="no running job"):
            supervisor.authorise(token, pid)


async def test_it_counts_the_places_that_tutors_have_free() -> None:
    """By name."""
    supervisor = supervise(FakeWorker("one"), FakeWorker("two", places=0))
    assert supervisor.places() == {"one": 3, "two": 0}
