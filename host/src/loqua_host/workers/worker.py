"""One tutor's LiveKit worker."""

import asyncio
import hmac
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import structlog
from livekit.agents import AgentServer, JobRequest
from livekit.agents.ipc.job_executor import JobExecutor
from livekit.agents.job import RunningJobInfo

from loqua_host.job.entrypoint import JobEntrypoint, JobSetup
from loqua_host.lessons.departure import Departure
from loqua_host.lessons.tutors import TUTOR, RunningTutor
from loqua_host.link.server import JobRef
from loqua_host.livekit_internals import (
    JobProcessStatus,
    failed_starts,
    is_connecting,
    on_process_closed,
    process_id,
    processes_of,
    use_key,
)
from loqua_host.settings.secrets import LiveKitKey
from loqua_host.system.proxies import proxy_for

from .metrics import WorkerMetrics

__all__ = ["JobCallbacks", "LiveKitAccess", "TutorWorker"]

log = structlog.get_logger()

FULL = "full"
"""The reason for refusing a job for lack of capacity."""

ELSEWHERE = "elsewhere"
"""The reason for leaving a job to other hosts: another region teaches, or this host does not reach
the ledger."""

PROCESS_START_SECONDS = 30.0
"""Seconds that a job process may take to get ready. LiveKit's 10 are not enough where many want the
processor, and there each process that is killed and started again makes it worse."""

STUCK = 3
"""Consecutive job processes that failed to start; on a slow machine, a single one may."""


@dataclass(frozen=True, slots=True)
class LiveKitAccess:
    """The access of workers to the LiveKit server."""

    url: str
    key: LiveKitKey


@dataclass(frozen=True, slots=True)
class JobCallbacks:
    """The callbacks of a worker about its jobs.

    Attributes:
        is_full: Returns whether no capacity is left for the tutor in a room.
        is_elsewhere: Returns whether a room's job is left to other hosts.
        on_accept: Called with each job before it is accepted.
        on_full: Called with each room whose job is refused for lack of capacity.
        on_end: Called with each accepted job whose process has ended, or never started.
    """

    is_full: Callable[[str], bool]
    is_elsewhere: Callable[[str], bool]
    on_accept: Callable[[JobRef], None]
    on_full: Callable[[str], None]
    on_end: Callable[[JobRef], None]


class TutorWorker:
    """Register a tutor with LiveKit, accept jobs within its limit and start their processes.

    Args:
        tutor: The tutor.
        access: Where to register.
        callbacks: The callbacks about jobs.

    Attributes:
        registered: Set while the worker is registered, also while it reconnects.
        leaving: Set when it drains.
        departure: Why it drains and its deadline; None while it serves.
        is_new: Whether it has never been registered.
    """

    def __init__(
        self,
        tutor: RunningTutor,
        access: LiveKitAccess,
        callbacks: JobCallbacks,
        metrics: WorkerMetrics,
    ) -> None:
        self.tutor = tutor
        self.registered = asyncio.Event()
        self.leaving = asyncio.Event()
        self.departure: Departure | None = None
        self.is_new = True
        self._access = access
        self._callbacks = callbacks
        self._metrics = metrics
        self._accepting: set[str] = set()
        self._server: AgentServer | None = None
        self._started = False
        self._waiting: asyncio.Timeout | None = None

    @property
    def jobs(self) -> frozenset[str]:
        """The ids of running and starting jobs."""
        return frozenset({info.job.id for info in self._running_jobs()} | self._accepting)

    @property
    def busy(self) -> int:
        """The number of running and starting jobs."""
        return len(self.jobs)

    @property
    def online(self) -> bool:
        """Whether the worker is connected now; `registered` stays set while it reconnects."""
        connecting = self._server is None or is_connecting(self._server)
        return self.registered.is_set() and not connecting

    @property
    def stuck(self) -> bool:
        """Whether several job processes in a row have failed to start."""
        if self._server is None or not self._started:
            return False
        return failed_starts(self._server) >= STUCK

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            Exception: Whatever ends LiveKit's worker, such as no connection after its retries;
                the worker can be run again.
        """
        self._server = server = self._build_server()
        server.on("worker_started", partial(self._on_started, server))
        server.on("worker_registered", self._on_registered)
        try:
            await server.run()
        finally:
            self.registered.clear()
            self._server, self._started = None, False
            await server.aclose()

    def use_key(self, key: LiveKitKey) -> None:
        """Use another API key from the next registration on.

        LiveKit checks the key only at registration. A server that no longer knows the old key has
        been restarted, so every worker registers again.
        """
        self._access = replace(self._access, key=key)
        if self._server is not None:
            use_key(self._server, key.key.get_secret_value(), key.secret.get_secret_value())

    def leave(self, departure: Departure) -> None:
        """Accept no more jobs; of two departures, the earlier one counts."""
        if self.departure is None or departure.deadline < self.departure.deadline:
            self.departure = departure
        self.leaving.set()
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self.departure.deadline)

    async def drain(self) -> None:
        """Wait until the running jobs have ended.

        Raises:
            TimeoutError: If some still run at the deadline.
        """
        if self._server is None or self.departure is None:
            return
        try:
            async with asyncio.timeout_at(self.departure.deadline) as self._waiting:
                await self._server.drain(timeout=None)
        finally:
            self._waiting = None

    async def close(self) -> None:
        """Disconnect from LiveKit, and end the jobs that still run."""
        if self._server is not None:
            await self._server.aclose()

    def find_job(self, token: str, pid: int) -> JobRef | None:
        """Return the running job that was assigned this room token, if this process runs it."""
        given = token.encode(errors="surrogateescape")
        jobs = {one.job_id for one in self.processes() if one.pid == pid}
        for info in self._running_jobs():
            if hmac.compare_digest(info.token.encode(), given) and info.job.id in jobs:
                return JobRef(info.job.id, info.job.room.name, self.tutor.name)
        return None

    def processes(self) -> list[JobProcessStatus]:
        """Return the processes that run a job or wait for one."""
        return processes_of(self._server) if self._server and self._started else []

    def _running_jobs(self) -> list[RunningJobInfo]:
        return self._server.active_jobs if self._server and self._started else []

    def _build_server(self) -> AgentServer:
        server = AgentServer(
            ws_url=self._access.url,
            api_key=self._access.key.key.get_secret_value(),
            api_secret=self._access.key.secret.get_secret_value(),
            host="127.0.0.1",
            port=0,
            http_proxy=proxy_for(self._access.url),
            setup_fnc=JobSetup(self.tutor.job),
            num_idle_processes=1,
            initialize_process_timeout=PROCESS_START_SECONDS,
            # If load reported exhausted capacity, dispatches in between would be lost; on_request
            # refuses instead.
            load_fnc=lambda: 0.0,
            load_threshold=math.inf,
        )
        server.rtc_session(
            JobEntrypoint(self.tutor.job),
            agent_name=self.tutor.agent_name,
            on_request=self._on_request,
        )
        return server

    def _on_started(self, server: AgentServer) -> None:
        self._started = True
        on_process_closed(server, self._on_process_closed)

    def _on_process_closed(self, process: JobExecutor) -> None:
        loop, info = asyncio.get_running_loop(), process.running_job
        loop.run_in_executor(None, self.tutor.job.sandbox.clean, process_id(process))
        if info is not None:
            job = JobRef(info.job.id, info.job.room.name, self.tutor.name)
            # The pool forgets the process, which counts as busy, only after all callbacks.
            loop.call_soon(self._callbacks.on_end, job)

    def _on_registered(self, worker_id: str, _server_info: object) -> None:
        # run() sets these for code in this process; a later forkserver must not pass them to jobs.
        for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
            os.environ.pop(name, None)
        log.info(
            "worker.registered",
            tutor=self.tutor.name,
            agent_id=self.tutor.agent_id,
            agent_name=self.tutor.agent_name or "(automatic)",
            worker_id=worker_id,
        )
        self.is_new = False
        self.registered.set()

    async def _on_request(self, request: JobRequest) -> None:
        if why := self._refusal(request.room.name):
            self._metrics.jobs_refused.labels(self.tutor.name, why).inc()
            log.warning("job.refused", why=why, **self._ids(request))
            # A plain reject would end the job for all hosts.
            await request.reject(terminate=False)
            if why == FULL:
                self._callbacks.on_full(request.room.name)
        else:
            await self._accept(request)

    async def _accept(self, request: JobRequest) -> None:
        """Accept a job, and start it in a process once LiveKit assigns it to this worker."""
        job = JobRef(request.id, request.room.name, self.tutor.name)
        self._accepting.add(request.id)
        try:
            self._metrics.jobs_accepted.labels(self.tutor.name).inc()
            log.info("job.accepted", **self._ids(request))
            self._callbacks.on_accept(job)
            await request.accept(name=self.tutor.name, attributes={TUTOR: self.tutor.name})
        except Exception:
            self._callbacks.on_end(job)
            raise
        finally:
            self._accepting.discard(request.id)

    def _ids(self, request: JobRequest) -> dict[str, str]:
        """Return a job's ids for log lines."""
        return {
            "tutor": self.tutor.name,
            "agent_id": self.tutor.agent_id,
            "room": request.room.name,
            "job_id": request.id,
        }

    def _refusal(self, room: str) -> str | None:
        if self.leaving.is_set():
            return "leaving"
        if self._callbacks.is_elsewhere(room):
            return ELSEWHERE
        return FULL if self._callbacks.is_full(room) else None
