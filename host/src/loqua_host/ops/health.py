"""Health in the guide's four levels, derived from the host's status; pure.

The state of a level is that of its worst finding. A host can teach without the API, so readiness
depends on the first two levels only.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from loqua_host.capacity.admission import Bound
from loqua_host.core.breaker import BreakerState
from loqua_host.core.versions import VersionStatus
from loqua_host.records.regions import RegionState
from loqua_host.settings.regions import RegionSettings
from loqua_host.system.installed import RUNNING

from .status import HostStatus, Outcome, Phase, WorkerStatus

__all__ = ["Health", "HealthFinding", "HealthState", "Level", "assess"]

STALE_SECONDS = 60.0
"""Seconds after which a probe is outdated, because the prober is stuck."""

OVERDUE_SECONDS = 300.0
"""Seconds after which an undelivered record is a degradation, as in the alert."""

WAIT_SECONDS = 10.0
"""Seconds after which a waiting learner is a degradation."""

SLOW_SECONDS = 2.0
"""The guide's limit for an API response, in seconds."""

DAY = 86_400.0

CERTIFICATE_DAYS = 14
"""Days before its expiry from which the ops certificate is a degradation, as in the alert."""


class HealthState(StrEnum):
    """The state of a finding, a level, or the host."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


_ORDER = tuple(HealthState)


@dataclass(frozen=True, slots=True)
class HealthFinding:
    """The state of one part of the host.

    Attributes:
        reason: Why it is in this state.
        latency: The seconds of its response, if it was probed.
        age: Seconds since it was last probed, if it was.
    """

    name: str
    state: HealthState
    reason: str
    latency: float | None = None
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """One of the guide's levels."""

    name: str
    findings: tuple[HealthFinding, ...]

    @property
    def state(self) -> HealthState:
        """The worst state of its findings."""
        return _worst(finding.state for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Health:
    """The four levels, and whether the host is ready for new lessons.

    Attributes:
        active: Whether it is ready and its region is the one that teaches.
    """

    levels: tuple[Level, ...]
    ready: bool
    active: bool

    @property
    def state(self) -> HealthState:
        """The worst state of its levels."""
        return _worst(level.state for level in self.levels)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The bounds from which a value is degraded and failed; lower is better."""

    degraded: float
    failed: float

    def judge(self, value: float) -> HealthState:
        """Return the state of a value."""
        if value >= self.failed:
            return HealthState.FAILED
        return HealthState.DEGRADED if value >= self.degraded else HealthState.OK


BOUNDS: dict[Bound, str] = {
    "max_lessons": "lessons.max_lessons",
    "processors": "idle CPUs",
    "memory": "free memory",
    "starts": "lessons that are starting",
    "late": "lessons that respond late",
}
"""Descriptions of what limits the number of lessons."""

LAG = _Bounds(0.25, 2.0)
MEMORY = _Bounds(0.85, 0.95)
DISK_USED = _Bounds(0.90, 0.98)


def assess(status: HostStatus, jwt_warn_before: float = 7 * DAY) -> Health:
    """Return the health of a status.

    Args:
        status: The status.
        jwt_warn_before: Seconds before its expiry from which AGENT_JWT_TOKEN is a degradation.
    """
    levels = (
        Level("host", tuple(_host(status))),
        Level("livekit", tuple(_livekit(status))),
        Level("api", tuple(_api(status, jwt_warn_before))),
        Level("database", tuple(_database(status))),
    )
    working = all(level.state is not HealthState.FAILED for level in levels[:2])
    ready = status.phase is Phase.SERVING and working
    return Health(levels, ready=ready, active=ready and not status.stands_by)


def _host(status: HostStatus) -> Iterator[HealthFinding]:
    yield HealthFinding("phase", HealthState.OK, f"the host is {status.phase}")
    if status.installed_over is not None:
        yield _installed_over(status.installed_over)
    yield _config(status.stale_config)
    busy = sum(worker.busy for worker in status.workers)
    limit = BOUNDS[status.headroom.bound]
    room = f"room for {max(0, status.headroom.lessons)} more, limited by {limit}"
    yield HealthFinding(
        "lessons", HealthState.OK, f"{busy} jobs, {len(status.lessons)} lessons, {room}"
    )
    yield _waiting(status)
    yield _engines(status)
    yield _forkserver(status)
    yield _sandbox(status.sandbox_gaps)
    yield _probe("job processes", status.jobs, status.now)
    lag = "the longest delay of the event loop lately"
    yield HealthFinding("loop", LAG.judge(status.lag), lag, latency=status.lag)
    yield HealthFinding(
        "memory", MEMORY.judge(status.memory), f"{status.memory:.0%} of memory is used"
    )
    disk = f"{status.disk_free:.0%} of the ledger's disk is free"
    yield HealthFinding("disk", DISK_USED.judge(1 - status.disk_free), disk)
    if status.certificate_left is not None:
        yield _certificate(status.certificate_left / DAY)


def _certificate(days: float) -> HealthFinding:
    """Return the finding on the ops certificate, which lessons do not need."""
    if days <= 0:
        why = "has expired; clients that verify it cannot connect: renew it"
        return HealthFinding("ops certificate", HealthState.DEGRADED, why)
    state = HealthState.DEGRADED if days < CERTIFICATE_DAYS else HealthState.OK
    return HealthFinding("ops certificate", state, f"expires in {days:.1f} days")


def _installed_over(version: str) -> HealthFinding:
    why = (
        f"{version} is installed over the running {RUNNING}, and jobs would mix both: restart it; "
        "install each version in an image or environment of its own"
    )
    return HealthFinding("loqua-host", HealthState.FAILED, why)


def _config(stale: str | None) -> HealthFinding:
    if stale is None:
        return HealthFinding("config", HealthState.OK, "the host runs the configuration in config/")
    return HealthFinding(
        "config",
        HealthState.DEGRADED,
        f"the host does not run the configuration in config/: {stale}",
    )


def _waiting(status: HostStatus) -> HealthFinding:
    if not status.waiting:
        return HealthFinding("learners", HealthState.OK, "nobody waits for a tutor")
    state = HealthState.DEGRADED if status.longest_wait > WAIT_SECONDS else HealthState.OK
    count = (
        "1 learner waits" if len(status.waiting) == 1 else f"{len(status.waiting)} learners wait"
    )
    return HealthFinding(
        "learners", state, f"{count} for a tutor, the longest for {status.longest_wait:.0f} s"
    )


def _engines(status: HostStatus) -> HealthFinding:
    """Return whether fallbacks serve lessons, with other voices or worse recognition."""
    served = Counter(
        f"{one.tutor}: engines.{kind}[{index}]"
        for one in status.lessons
        for kind, index in one.engines.items()
        if index
    )
    if not served:
        return HealthFinding("engines", HealthState.OK, "no lesson is served by a fallback")
    text = "; ".join(f"{what} serves {_lessons(count)}" for what, count in sorted(served.items()))
    return HealthFinding("engines", HealthState.DEGRADED, text)


def _lessons(count: int) -> str:
    return "1 lesson" if count == 1 else f"{count} lessons"


def _forkserver(status: HostStatus) -> HealthFinding:
    if status.forkserver:
        return HealthFinding("forkserver", HealthState.OK, "jobs can be started")
    return HealthFinding(
        "forkserver", HealthState.FAILED, "has died, so no job can start: the host exits"
    )


def _sandbox(gaps: Sequence[str]) -> HealthFinding:
    if not gaps:
        why = "jobs are restricted in files, TCP connections, signals and processes"
        return HealthFinding("sandbox", HealthState.OK, why)
    why = f"jobs are not restricted in {', '.join(gaps)}"
    return HealthFinding("sandbox", HealthState.DEGRADED, why)


def _livekit(status: HostStatus) -> Iterator[HealthFinding]:
    yield from (_worker(worker) for worker in status.workers)
    yield _probe("rooms API", status.rooms, status.now)
    if status.refused_key is not None:
        why = f"LiveKit refuses the new key; the previous one is used: {status.refused_key}"
        yield HealthFinding("LIVEKIT_API_KEY", HealthState.DEGRADED, why)


def _worker(worker: WorkerStatus) -> HealthFinding:
    name = f"worker {worker.tutor}"
    if worker.leaving:
        return HealthFinding(name, HealthState.OK, f"draining, {worker.busy} jobs still run")
    if worker.stuck:
        return HealthFinding(name, HealthState.FAILED, "no job process gets ready: see the log")
    if worker.online:
        return HealthFinding(
            name, HealthState.OK, f"registered, {worker.busy} of {worker.places} slots in use"
        )
    if worker.is_new:
        return HealthFinding(name, HealthState.DEGRADED, "not registered yet")
    return HealthFinding(
        name, HealthState.FAILED, "not registered: see livekit.url and LIVEKIT_API_KEY"
    )


def _api(status: HostStatus, jwt_warn_before: float) -> Iterator[HealthFinding]:
    yield _agent_jwt(status.agent_jwt_left, jwt_warn_before)
    if status.api_version.deprecated:
        yield _deprecated(status.api_version, status.unix)
    for endpoint in sorted(status.endpoints):
        yield _endpoint(endpoint, status)


def _endpoint(endpoint: str, status: HostStatus) -> HealthFinding:
    last = status.endpoints[endpoint]
    age = status.now - last.at
    text = _ago(age)
    if last.breaker is BreakerState.OPEN:
        cause = last.failure or "it failed repeatedly"
        why = f"calls fail at once, because the breaker is open: {cause}"
        return HealthFinding(endpoint, HealthState.FAILED, why, last.seconds, age)
    if last.failure:
        return HealthFinding(
            endpoint, HealthState.DEGRADED, f"{last.failure}, {text}", last.seconds, age
        )
    if last.seconds > SLOW_SECONDS:
        why = f"slower than {SLOW_SECONDS:g} s, {text}"
        return HealthFinding(endpoint, HealthState.DEGRADED, why, last.seconds, age)
    return HealthFinding(endpoint, HealthState.OK, f"answered {text}", last.seconds, age)


def _agent_jwt(left: float | None, warn_before: float) -> HealthFinding:
    if left is None:
        return HealthFinding("AGENT_JWT_TOKEN", HealthState.OK, "has no expiry")
    if left <= 0:
        return HealthFinding(
            "AGENT_JWT_TOKEN", HealthState.FAILED, "has expired: get a new one from the Loqua admin"
        )
    state = HealthState.DEGRADED if left < warn_before else HealthState.OK
    return HealthFinding("AGENT_JWT_TOKEN", state, f"expires in {left / DAY:.1f} days")


def _deprecated(spoken: VersionStatus, now: float) -> HealthFinding:
    why = f"the API has announced the end of {spoken.version}, which this host speaks"
    if spoken.sunset is None:
        return HealthFinding("API version", HealthState.DEGRADED, why)
    left = (spoken.sunset - now) / DAY
    when = f"it ends in {left:.0f} days" if left >= 0 else f"it ended {-left:.0f} days ago"
    return HealthFinding("API version", HealthState.DEGRADED, f"{why}: {when}")


def _database(status: HostStatus) -> Iterator[HealthFinding]:
    yield _probe("ledger", status.ledger, status.now)
    yield _outbox(status)
    if status.regions is not None:
        yield _regions(status.regions, status.region_state)
    if "health" in status.endpoints:
        yield replace(_endpoint("health", status), name="API's database")
    else:
        yield HealthFinding(
            "API's database", HealthState.OK, "not checked yet; the first lesson checks it"
        )


def _outbox(status: HostStatus) -> HealthFinding:
    backlog = status.backlog
    text = f"{backlog.records} records and {backlog.progress} progress updates are pending"
    age = 0.0 if backlog.oldest is None else status.unix - backlog.oldest
    if overdue := age > OVERDUE_SECONDS:
        text += f", the oldest for {age / 60:.0f} min"
    if backlog.dead:
        text += f"; {backlog.dead} were refused permanently"
    return HealthFinding(
        "outbox", HealthState.DEGRADED if overdue or backlog.dead else HealthState.OK, text
    )


def _regions(regions: RegionSettings, state: RegionState | None) -> HealthFinding:
    if state is None:
        return HealthFinding("regions", HealthState.DEGRADED, "the ledger has not been read yet")
    text = f"{state.active} teaches, and this host is in {regions.here}"
    missing = {regions.primary, regions.secondary} - state.ready_hosts.keys()
    if missing:
        text += f"; no host is ready in {' and '.join(sorted(missing))}"
    if away := state.active != regions.primary:
        command = f"`loqua-host region activate {regions.primary}`"
        text += f"; once {regions.primary} is healthy, run {command}"
    degraded = away or bool(missing)
    return HealthFinding("regions", HealthState.DEGRADED if degraded else HealthState.OK, text)


def _probe(name: str, last: Outcome | None, now: float) -> HealthFinding:
    if last is None:
        return HealthFinding(name, HealthState.DEGRADED, "not checked yet")
    age = now - last.at
    if last.failure:
        return HealthFinding(name, HealthState.FAILED, last.failure, last.seconds, age)
    if age > STALE_SECONDS:
        return HealthFinding(
            name, HealthState.DEGRADED, f"last checked {_ago(age)}", last.seconds, age
        )
    slow = last.seconds > SLOW_SECONDS
    state = HealthState.DEGRADED if slow else HealthState.OK
    return HealthFinding(name, state, f"answered {_ago(age)}", last.seconds, age)


def _ago(seconds: float) -> str:
    return f"{max(0.0, seconds):.0f} s ago"


def _worst(states: Iterator[HealthState]) -> HealthState:
    return max(states, key=_ORDER.index, default=HealthState.OK)
