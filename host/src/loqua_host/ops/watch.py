"""Collection of the host's status: probes every few seconds, and current values."""

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from loqua_host.capacity.admission import Headroom
from loqua_host.capacity.machine import Usage
from loqua_host.core import LoquaApi
from loqua_host.core.clock import Clock
from loqua_host.errors import LedgerError, LinkError, RoomsError
from loqua_host.lessons.decisions import Wait
from loqua_host.lessons.lessons import Lessons
from loqua_host.lessons.regions import RegionWatch
from loqua_host.lessons.tutors import RunningTutor
from loqua_host.observability.faults import log_fault
from loqua_host.records.ledger import Backlog, Ledger
from loqua_host.rooms.rooms import Rooms
from loqua_host.system.disk import free_share
from loqua_host.system.installed import installed_over
from loqua_host.system.process import forkserver_runs
from loqua_host.system.sandbox import sandbox_gaps

from .status import HostStatus, LessonStatus, Outcome, Phase, WorkerStatus

__all__ = ["Watch", "Watched"]

T = TypeVar("T")

PROBE_SECONDS = 10.0
PROBE_TIMEOUT = 5.0

BEAT_SECONDS = 0.5
MAX_BEATS = 60


class WorkerSource(Protocol):
    """The interface of a tutor's worker for the status."""

    @property
    def tutor(self) -> RunningTutor:
        """The tutor."""

    @property
    def online(self) -> bool:
        """Whether it is registered with LiveKit."""

    @property
    def busy(self) -> int:
        """The number of running and starting jobs."""

    @property
    def is_new(self) -> bool:
        """Whether it has never been registered."""

    @property
    def stuck(self) -> bool:
        """Whether its job processes fail to start."""

    @property
    def leaving(self) -> asyncio.Event:
        """Set when it drains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The sources of the status.

    Attributes:
        phase: Returns the phase of the host.
        stale_config: Returns why the host does not run the current config/, None if it does.
        refused_key: Returns why LiveKit's current API key is not used, None if it is.
        certificate_left: Returns the seconds until the ops address's certificate expires.
        secret_failures: Returns how often reading a secret has failed.
        workers: Returns the workers, the newest of a tutor last.
        headroom: Returns how many more lessons this host accepts.
        usage: Returns the machine's usage.
        waiting: Returns the waits of learners without a tutor.
        jobs: Tests whether a job could start and reach the host; raises LinkError if not.
        local_state: The ledger's spool, for its disk's free space.
        regions: Follows which region teaches, if there are two.
    """

    phase: Callable[[], Phase]
    stale_config: Callable[[], str | None]
    refused_key: Callable[[], str | None]
    certificate_left: Callable[[], float | None]
    secret_failures: Callable[[], int]
    workers: Callable[[], Sequence[WorkerSource]]
    lessons: Lessons
    headroom: Callable[[], Headroom]
    usage: Callable[[], Usage]
    waiting: Callable[[], tuple[Wait, ...]]
    rooms: Rooms
    api: LoquaApi
    ledger: Ledger
    jobs: Callable[[], Awaitable[None]]
    local_state: Path
    regions: RegionWatch | None = None


class Watch:
    """Collect the `HostStatus`."""

    def __init__(self, host: Watched, clock: Clock) -> None:
        self._host = host
        self._clock = clock
        self._since = clock.monotonic()
        self._beats: deque[float] = deque([0.0], maxlen=MAX_BEATS)
        self._rooms_outcome: Outcome | None = None
        self._ledger_outcome: Outcome | None = None
        self._jobs_outcome: Outcome | None = None
        self._backlog = Backlog()
        self._jwt_left: float | None = None

    async def run(self) -> None:
        """Probe periodically, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._probe())

    def look(self) -> HostStatus:
        """Return the current status."""
        host, phase = self._host, self._host.phase()
        return HostStatus(
            now=self._clock.monotonic(),
            unix=self._clock.now(),
            since=self._since,
            phase=phase,
            stale_config=host.stale_config(),
            refused_key=host.refused_key(),
            lag=max(self._beats),
            memory=host.usage().memory_share,
            headroom=host.headroom(),
            cpu_load=os.getloadavg()[0] / (os.cpu_count() or 1),
            forkserver=forkserver_runs(),
            jobs=self._jobs_outcome,
            disk_free=_disk_free(host.local_state),
            workers=self._worker_statuses(),
            lessons=self._live(),
            # A draining host dispatches nobody.
            waiting=host.waiting() if phase is Phase.SERVING else (),
            rooms=self._rooms_outcome,
            endpoints=host.api.endpoints(),
            api_version=host.api.version,
            agent_jwt_left=self._jwt_left,
            certificate_left=host.certificate_left(),
            user_token_left=host.api.user_token_seconds_left(),
            ledger=self._ledger_outcome,
            backlog=self._backlog,
            ledger_busy=host.ledger.busy_seconds,
            ledger_failures=host.ledger.failures,
            spooled=host.ledger.spooled,
            secret_failures=host.secret_failures(),
            installed_over=installed_over(),
            sandbox_gaps=sandbox_gaps(),
            regions=host.regions.settings if host.regions else None,
            region_state=host.regions.state if host.regions else None,
        )

    def _worker_statuses(self) -> tuple[WorkerStatus, ...]:
        """Return the status of a tutor's workers as one; several exist during a takeover."""
        by_tutor: dict[str, list[WorkerSource]] = {}
        for worker in self._host.workers():
            by_tutor.setdefault(worker.tutor.name, []).append(worker)
        return tuple(_worker_status(workers) for workers in by_tutor.values())

    def _live(self) -> tuple[LessonStatus, ...]:
        return tuple(
            LessonStatus(row.id[:8], row.tutor, mode, row.opened_at, row.restarts, engines)
            for row, mode, engines in self._host.lessons.live()
        )

    async def _beat(self) -> None:
        while True:
            due = self._clock.monotonic() + BEAT_SECONDS
            await self._clock.sleep(BEAT_SECONDS)
            self._beats.append(max(0.0, self._clock.monotonic() - due))

    async def _probe(self) -> None:
        while True:
            self._rooms_outcome, _ = await self._try(self._host.rooms.counts())
            self._ledger_outcome, backlog = await self._try(self._host.ledger.backlog())
            self._backlog = backlog or self._backlog
            self._jobs_outcome, _ = await self._try(self._host.jobs())
            self._jwt_left = await self._host.api.agent_token_seconds_left()
            await self._clock.sleep(PROBE_SECONDS)

    async def _try(self, asking: Awaitable[T]) -> tuple[Outcome, T | None]:
        begun = self._clock.monotonic()
        answer, failure = None, None
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                answer = await asking
        except TimeoutError:
            failure = f"no answer within {PROBE_TIMEOUT:g} s"
        except (LedgerError, LinkError, RoomsError) as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001  # /health reports it, and the next probe retries
            log_fault("Watch.run", error)
            failure = type(error).__name__
        ended = self._clock.monotonic()
        return Outcome(ended, ended - begun, failure), answer


def _worker_status(workers: Sequence[WorkerSource]) -> WorkerStatus:
    serving = [worker for worker in workers if not worker.leaving.is_set()]
    tutor = workers[-1].tutor
    return WorkerStatus(
        tutor=tutor.name,
        agent_name=tutor.agent_name,
        online=any(worker.online for worker in serving or workers),
        busy=sum(worker.busy for worker in workers),
        places=tutor.max_jobs,
        is_new=bool(serving) and all(worker.is_new for worker in serving),
        leaving=not serving,
        stuck=bool(serving) and all(worker.stuck for worker in serving),
    )


def _disk_free(spool: Path) -> float:
    try:
        return free_share(spool)
    except OSError:
        return 0.0
