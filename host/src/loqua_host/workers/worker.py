"""One tutor's LiveKit worker."""

import asyncio
import hmac
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from livekit.agents import AgentServer, JobRequest

from loqua_host.job.entrypoint import JobEntrypoint, JobSetup
from loqua_host.job.settings import JobSettings
from loqua_host.lessons.hosted import HostedTutor
from loqua_host.link.ipc import distrust_jobs
from loqua_host.link.server import JobRef

__all__ = ["LiveKitAccess", "TutorWorker"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LiveKitAccess:
    """How workers register at the LiveKit server."""

    url: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)


class TutorWorker:
    """Registers a tutor at LiveKit, takes jobs within its limit and starts their processes.

    Args:
        tutor: The tutor.
        job: What its job processes are started with.
        access: Where to register.
        is_full: Whether the host has no place left for any tutor.
        on_accept: Hears of each job before it is accepted.
    """

    def __init__(
        self,
        tutor: HostedTutor,
        job: JobSettings,
        access: LiveKitAccess,
        is_full: Callable[[], bool],
        on_accept: Callable[[JobRef], None],
    ) -> None:
        self.tutor = tutor
        self.registered = asyncio.Event()
        self._job = job
        self._access = access
        self._is_full = is_full
        self._on_accept = on_accept
        self._accepting = 0
        self._server: AgentServer | None = None

    @property
    def busy(self) -> int:
        """Jobs that run or are about to."""
        running = 0 if self._server is None else len(self._server.active_jobs)
        return running + self._accepting

    @property
    def has_place(self) -> bool:
        """Whether a job would be taken now."""
        return self.registered.is_set() and self.busy < self.tutor.max_jobs and not self._is_full()

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            Exception: Whatever ends LiveKit's worker, such as no connection after its retries;
                the worker can be run again.
        """
        server = self._build_server()
        server.on("worker_started", lambda: self._on_started(server))
        server.on("worker_registered", self._on_registered)
        try:
            await server.run()
        finally:
            self.registered.clear()
            self._server = None
            await server.aclose()

    async def stop(self, seconds: float) -> None:
        """Take no new jobs, wait for the running ones at most so long, then close."""
        server = self._server
        if server is None:
            return
        try:
            await server.drain(timeout=math.ceil(seconds) or None)
        except TimeoutError:
            log.warning("worker.drain_cut_off", tutor=self.tutor.name, jobs=self.busy)
        await server.aclose()

    def find_job(self, token: str, pid: int) -> JobRef | None:
        """Get the running job that was assigned this room token, if this process runs it."""
        server = self._server
        if server is None:
            return None
        for info in server.active_jobs:
            if hmac.compare_digest(info.token.encode(), token.encode()):
                process = server._proc_pool.get_by_job_id(info.job.id)  # noqa: SLF001  # the only way to a job's pid
                if process is not None and getattr(process, "pid", None) == pid:
                    return JobRef(info.job.id, info.job.room.name, self.tutor.name)
        return None

    def _build_server(self) -> AgentServer:
        distrust_jobs()
        server = AgentServer(
            ws_url=self._access.url,
            api_key=self._access.api_key,
            api_secret=self._access.api_secret,
            host="127.0.0.1",
            port=0,
            setup_fnc=JobSetup(self._job),
            num_idle_processes=1,
            # Fullness told as load loses the dispatches in between; on_request refuses instead.
            load_fnc=lambda: 0.0,
            load_threshold=math.inf,
        )
        server.rtc_session(
            JobEntrypoint(self._job),
            agent_name=self.tutor.agent_name,
            on_request=self._on_request,
        )
        return server

    def _on_started(self, server: AgentServer) -> None:
        self._server = server

    def _on_registered(self, worker_id: str, _server_info: object) -> None:
        # run() wrote these for code that runs in this process; a later forkserver must not
        # hand them to jobs.
        for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
            os.environ.pop(name, None)
        log.info(
            "worker.registered",
            tutor=self.tutor.name,
            agent_name=self.tutor.agent_name or "(automatic)",
            worker_id=worker_id,
        )
        self.registered.set()

    async def _on_request(self, request: JobRequest) -> None:
        if not self.has_place:
            log.warning("job.refused", why="full", tutor=self.tutor.name, room=request.room.name)
            # A bare reject would end the job for every host.
            await request.reject(terminate=False)
            return
        self._accepting += 1
        try:
            log.info("job.accepted", tutor=self.tutor.name, room=request.room.name)
            self._on_accept(JobRef(request.id, request.room.name, self.tutor.name))
            await request.accept(name=self.tutor.name)
        finally:
            self._accepting -= 1
