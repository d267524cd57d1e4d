"""One tutor's worker: the jobs that it accepts, the processes that it trusts, its stop."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import structlog
from livekit.agents import AgentServer
from livekit.agents.ipc.job_proc_executor import ProcJobExecutor
from livekit.agents.ipc.proc_pool import ProcPool
from livekit.agents.ipc.supervised_proc import SupervisedProc
from livekit.rtc.event_emitter import EventEmitter

from loqua_host.core.secrets import Sealed
from loqua_host.lessons.departure import Departure
from loqua_host.link.server import JobRef
from loqua_host.livekit_internals import patch_workers
from loqua_host.observability.metrics import Instruments
from loqua_host.settings.secrets import LiveKitKey
from loqua_host.testing.tutors import running_tutor
from loqua_host.workers import worker as module
from loqua_host.workers.metrics import WorkerMetrics
from loqua_host.workers.worker import JobCallbacks, LiveKitAccess, TutorWorker

SECRET = "a-secret-of-32-characters-or-more"


def running(job_id: str, token: str) -> Any:
    """Return a job as LiveKit keeps it."""
    job = SimpleNamespace(id=job_id, room=SimpleNamespace(name=f"room-{job_id}"))
    return SimpleNamespace(job=job, token=token)


def process(pid: int | None, job: Any) -> Any:
    """Return a process as LiveKit keeps it, which runs a job or none."""
    return Mock(spec=ProcJobExecutor, pid=pid, running_job=job)


class FakePool(EventEmitter[str]):
    """LiveKit's processes."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[Any] = []


class FakeServer:
    """LiveKit's worker, which starts, registers, drains and closes when a test says so."""

    made: "list[FakeServer]"

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.callbacks: dict[str, Callable[..., None]] = {}
        self.active_jobs: list[Any] = []
        self.draining = asyncio.Event()
        self.closed = asyncio.Event()
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.drain_ends = True
        self._api_key, self._api_secret = settings["api_key"], settings["api_secret"]
        self._lock = asyncio.Lock()
        self._proc_pool = FakePool()
        self.made.append(self)

    def rtc_session(self, entrypoint: Any, **session: Any) -> None:
        """Take the entrypoint."""
        self.session = {"entrypoint": entrypoint, **session}

    def on(self, event: str, callback: Callable[..., None]) -> None:
        """Take a listener."""
        self.callbacks[event] = callback

    async def run(self) -> None:
        """Start, register, serve until closed."""
        async with self._lock:
            await self.may_start.wait()
            self.callbacks["worker_started"]()
        os.environ["LIVEKIT_API_SECRET"] = SECRET
        self.callbacks["worker_registered"]("AW_1", None)
        await self.closed.wait()

    async def drain(self, timeout: None) -> None:  # noqa: ASYNC109  # LiveKit's signature
        """Wait for the jobs, however long they take."""
        assert timeout is None
        async with self._lock:
            self.draining.set()
            if not self.drain_ends:
                await asyncio.Event().wait()

    async def aclose(self) -> None:
        """Close."""
        async with self._lock:
            self.closed.set()


@dataclass
class FakeRequest:
    """A job offered by LiveKit."""

    id: str = "job"
    answer: str | None = None
    gate: asyncio.Event | None = None
    room: Any = field(default_factory=lambda: SimpleNamespace(name="room"))
    job: Any = field(default_factory=lambda: SimpleNamespace(metadata=""))

    async def accept(self, *, name: str, attributes: dict[str, str] | None = None) -> None:
        """Take the job; it is assigned once the gate is open."""
        if self.gate is not None:
            await self.gate.wait()
        assert attributes == {"loqua.tutor": name}
        self.answer = f"accepted as {name}"

    async def reject(self, *, terminate: bool = True) -> None:
        """Leave the job."""
        self.answer = "terminated" if terminate else "left to others"


class SingleWorkerHost:
    """A host with one worker."""

    def __init__(self) -> None:
        self.full = False
        self.elsewhere = False
        self.accepted: list[JobRef] = []
        self.refused: list[str] = []
        self.ended: list[JobRef] = []
        self.running: asyncio.Task[None] | None = None
        self.instruments = Instruments()
        self.worker = TutorWorker(
            running_tutor("conversation", "", "agent", 2),
            LiveKitAccess("ws://127.0.0.1:7880", LiveKitKey(Sealed("key"), Sealed(SECRET))),
            JobCallbacks(
                is_elsewhere=lambda _room: self.elsewhere,
                is_full=lambda _: self.full or self.worker.busy >= self.worker.tutor.max_jobs,
                on_accept=self.accepted.append,
                on_full=self.refused.append,
                on_end=self.ended.append,
            ),
            WorkerMetrics(self.instruments),
        )


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> SingleWorkerHost:
    """Return a host whose worker stands on a fake of LiveKit's."""
    monkeypatch.setattr(FakeServer, "made", [], raising=False)
    monkeypatch.setattr(module, "AgentServer", FakeServer)
    monkeypatch.delenv("LIVEKIT_API_SECRET", raising=False)
    return SingleWorkerHost()


@pytest.fixture
async def server(host: SingleWorkerHost) -> FakeServer:
    """Return the fake server of a worker that is registered."""
    host.running = asyncio.create_task(host.worker.run())
    await host.worker.registered.wait()
    return FakeServer.made[0]


@pytest.mark.usefixtures("server")
async def test_a_job_is_prepared_and_accepted(host: SingleWorkerHost) -> None:
    """The lessons hear of it before LiveKit does."""
    request = FakeRequest()
    await host.worker._on_request(request)  # type: ignore[arg-type]  # a fake
    assert request.answer == "accepted as conversation"
    assert host.accepted == [JobRef("job", "room", "conversation")]
    read, labels = host.instruments.registry.get_sample_value, {"tutor": "conversation"}
    assert read("loqua_jobs_accepted_total", labels) == 1


@pytest.mark.parametrize("why", ["elsewhere", "full", "leaving"])
@pytest.mark.usefixtures("server")
async def test_a_worker_without_a_slot_or_a_future_leaves_jobs_to_others(
    host: SingleWorkerHost, why: str
) -> None:
    """The job is not ended for every host, and nothing is prepared."""
    host.full, host.elsewhere = why == "full", why == "elsewhere"
    if why == "leaving":
        host.worker.leaving.set()
    request = FakeRequest()
    with structlog.testing.capture_logs() as logs:
        await host.worker._on_request(request)  # type: ignore[arg-type]  # a fake
    assert request.answer == "left to others"
    assert host.accepted == []
    assert [log["why"] for log in logs] == [why]
    read, labels = host.instruments.registry.get_sample_value, {"tutor": "conversation", "why": why}
    assert read("loqua_jobs_refused_total", labels) == 1


async def test_of_offers_at_once_only_so_many_are_accepted(
    host: SingleWorkerHost, server: FakeServer
) -> None:
    """A job counts from its acceptance on, and once only while it starts."""
    gate = asyncio.Event()
    requests = [FakeRequest(f"job{number}", gate=gate) for number in range(3)]
    answering = [asyncio.create_task(host.worker._on_request(one)) for one in requests]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    server.active_jobs = [running("job0", "a"), running("job1", "b")]
    assert host.worker.busy == 2
    gate.set()
    await asyncio.gather(*answering)
    assert [one.answer for one in requests] == ["accepted as conversation"] * 2 + ["left to others"]
    assert host.worker.busy == 2
    server.active_jobs.clear()
    assert host.worker.busy == 0


@pytest.mark.usefixtures("server")
async def test_a_job_whose_acceptance_fails_takes_no_slot(host: SingleWorkerHost) -> None:
    """LiveKit assigned it to nobody in time: its learner needs another (livekit/livekit#4541)."""
    request = FakeRequest()

    async def fail(**_: object) -> None:
        raise TimeoutError

    request.accept = fail  # type: ignore[method-assign]  # a fake
    with pytest.raises(TimeoutError):
        await host.worker._on_request(request)  # type: ignore[arg-type]  # a fake
    assert host.worker.busy == 0
    assert host.accepted == host.ended == [JobRef("job", "room", "conversation")]


async def test_a_job_whose_process_ends_is_reported_once_its_slot_is_free(
    host: SingleWorkerHost, server: FakeServer
) -> None:
    """It may have brought nobody (livekit/livekit#4374), and somebody may wait for the place.

    The pool tells of it before it forgets the process; of an idle one nobody hears.
    """
    for job in (running("1", "a"), None):
        server._proc_pool.emit("process_closed", SimpleNamespace(running_job=job))
    assert host.ended == []
    await asyncio.sleep(0)
    assert host.ended == [JobRef("1", "room-1", "conversation")]


async def test_a_job_is_believed_by_its_token_and_process_together(
    host: SingleWorkerHost, server: FakeServer
) -> None:
    """A token stolen by another process is worth nothing, nor is a process without token."""
    server.active_jobs = [running("1", "token-1"), running("2", "token-2")]
    jobs = zip((101, 102), server.active_jobs, strict=True)
    server._proc_pool.processes = [process(103, None), *(process(*each) for each in jobs)]
    assert host.worker.find_job("token-2", 102) == JobRef("2", "room-2", "conversation")
    for token, pid in (("token-1", 102), ("token-1", 7), ("", 101), ("other", 101)):
        assert host.worker.find_job(token, pid) is None


@pytest.mark.parametrize("token", ["", "ключ", "\udcff\udcfe", "\x00", "a" * 100_000])
async def test_no_token_whatever_is_more_than_refused(
    host: SingleWorkerHost, server: FakeServer, token: str
) -> None:
    """Headers may hold bytes that are no text."""
    server.active_jobs = [running("1", "token-1")]
    assert host.worker.find_job(token, 1) is None


async def test_a_job_whose_process_is_unknown_is_not_believed(
    host: SingleWorkerHost, server: FakeServer
) -> None:
    """No pid equals none."""
    server.active_jobs = [running("1", "token-1")]
    for processes in ([], [process(None, server.active_jobs[0])]):
        server._proc_pool.processes = processes
        assert host.worker.find_job("token-1", 0) is None


@pytest.mark.usefixtures("server")
async def test_registering_takes_livekits_secret_out_of_the_environment() -> None:
    """LiveKit's worker writes it there when it runs."""
    assert "LIVEKIT_API_SECRET" not in os.environ


@pytest.mark.usefixtures("server")
async def test_a_worker_that_livekit_once_had_is_new_no_more(host: SingleWorkerHost) -> None:
    """Not when it loses its connection either."""
    assert not host.worker.is_new
    host.worker.registered.clear()
    assert not host.worker.is_new


async def test_fullness_is_never_reported_as_load(server: FakeServer) -> None:
    """Dispatches in between would be lost; and no port is taken that others may want.

    Nor is a load that was measured wrong, which marked idle workers full (livekit/agents#7102).
    """
    assert server.settings["load_fnc"]() == 0.0
    assert (server.settings["host"], server.settings["port"]) == ("127.0.0.1", 0)


async def test_stopping_drains_then_closes(host: SingleWorkerHost, server: FakeServer) -> None:
    """Then nothing runs any more."""
    host.worker.leave(Departure.within(30, "host_stopping"))
    await host.worker.drain()
    await host.worker.close()
    assert host.running is not None
    await host.running
    assert server.draining.is_set()
    assert not host.worker.registered.is_set()


async def test_jobs_that_outstay_the_drain_are_waited_for_no_longer(
    host: SingleWorkerHost, server: FakeServer
) -> None:
    """The caller of the drain is notified and may end them."""
    server.drain_ends = False
    host.worker.leave(Departure.within(0.01, "host_stopping"))
    with pytest.raises(TimeoutError):
        await host.worker.drain()


async def test_of_two_departures_the_earlier_one_counts(
    host: SingleWorkerHost, server: FakeServer
) -> None:
    """Also for a worker that drains already."""
    server.drain_ends = False
    host.worker.leave(Departure.within(1e6, "tutor_changed"))
    draining = asyncio.create_task(host.worker.drain())
    await server.draining.wait()
    host.worker.leave(Departure.within(0, "host_stopping"))
    host.worker.leave(Departure.within(1e6, "tutor_disabled"))
    async with asyncio.timeout(30):
        with pytest.raises(TimeoutError):
            await draining
    assert host.worker.departure is not None
    assert host.worker.departure.reason == "host_stopping"


async def test_a_worker_that_is_still_starting_stops_as_well(host: SingleWorkerHost) -> None:
    """It does not begin to serve behind the back of a host that has stopped."""
    start = asyncio.Event()
    make = FakeServer.__init__

    def slow(self: FakeServer, **settings: Any) -> None:
        make(self, **settings)
        self.may_start = start

    FakeServer.__init__ = slow  # type: ignore[method-assign]  # put back below
    try:
        run = asyncio.create_task(host.worker.run())
        await asyncio.sleep(0)
        host.worker.leave(Departure.within(60, "host_stopping"))
        drain = asyncio.create_task(host.worker.drain())
        await asyncio.sleep(0)
        assert host.worker.busy == 0
        assert host.worker.find_job("token", 1) is None
        start.set()
        async with asyncio.timeout(30):
            await drain
            await asyncio.gather(host.worker.close(), run)
    finally:
        FakeServer.__init__ = make  # type: ignore[method-assign]  # as it was
    assert FakeServer.made[0].closed.is_set()


async def test_stopping_before_anything_runs_is_no_error(host: SingleWorkerHost) -> None:
    """There is nothing to stop."""
    host.worker.leave(Departure.within(1, "host_stopping"))
    await host.worker.drain()
    await host.worker.close()


def test_access_prints_no_secret(host: SingleWorkerHost) -> None:
    """Not even in a traceback."""
    assert SECRET not in repr(host.worker._access)


async def test_a_rotated_key_is_for_the_next_registration(
    host: SingleWorkerHost, server: FakeServer
) -> None:
    """LiveKit's worker reads its key each time that it connects; a worker made anew has it too."""
    new = LiveKitKey(Sealed("new"), Sealed("n" * 32))
    host.worker.use_key(new)
    assert (server._api_key, server._api_secret) == ("new", "n" * 32)
    assert host.running is not None
    await asyncio.gather(host.worker.close(), host.running)
    again = asyncio.create_task(host.worker.run())
    await host.worker.registered.wait()
    made = FakeServer.made[-1].settings
    assert (made["api_key"], made["api_secret"]) == ("new", "n" * 32)
    await host.worker.close()
    await again


@pytest.mark.usefixtures("server")
async def test_a_job_for_which_there_is_no_slot_is_reported(host: SingleWorkerHost) -> None:
    """LiveKit sends that room nobody any more; of who comes while the worker leaves it does."""
    host.full = True
    await host.worker._on_request(FakeRequest("one"))  # type: ignore[arg-type]  # a fake
    assert host.refused == ["room"]
    host.worker.leave(Departure.within(60, "host_stopping"))
    await host.worker._on_request(FakeRequest("two"))  # type: ignore[arg-type]  # a fake
    assert host.refused == ["room"]


async def test_a_drain_ends_though_two_jobs_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """LiveKit asks again for a job that has ended, until its pool has had a turn to forget it."""
    monkeypatch.setattr(SupervisedProc, "join", SupervisedProc.join)
    monkeypatch.setattr(ProcPool, "_proc_spawn_task", ProcPool._proc_spawn_task)
    patch_workers()
    pool: list[Any] = []
    end = asyncio.Event()

    async def supervise_and_forget(process: Any) -> None:
        await SupervisedProc.join(process)
        pool.remove(process)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            process = SimpleNamespace(started=True, running_job=True)
            process._supervise_atask = asyncio.ensure_future(end.wait())
            pool.append(process)
            process.join = partial(SupervisedProc.join, process)
            tasks.create_task(supervise_and_forget(process))
        await asyncio.sleep(0)
        server: Any = SimpleNamespace(
            id="worker",
            _draining=False,
            _lock=asyncio.Lock(),
            _job_lifecycle_tasks=(),
            _update_worker_status=partial(asyncio.sleep, 0),
            _proc_pool=SimpleNamespace(processes=pool),
        )
        draining = tasks.create_task(AgentServer.drain(server, timeout=None))
        tasks.create_task(asyncio.sleep(0)).add_done_callback(lambda _: end.set())
        await draining
    assert pool == []
