"""Health in the guide's four levels, judged from what is seen; pure.

A level is as bad as its worst finding. A host that the API has left is degraded only in what
it can do for lessons, so readiness asks for the first two levels alone.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from loqua_host.capacity.admission import Bound
from loqua_host.core.breaker import State as BreakerState

from .status import HostStatus, Outcome, Phase, WorkerStatus

__all__ = ["Finding", "Health", "Level", "State", "assess"]

STALE_SECONDS = 60.0
"""A probe that is older was not made when it was due: whoever makes it is stuck."""

OVERDUE_SECONDS = 300.0
"""A record that the API does not take for so long is told as a worry; the alert says so too."""

ALONE_SECONDS = 10.0
"""So is a learner who waits longer for a tutor."""

SLOW_SECONDS = 2.0
"""The guide's bound for an answer of the API."""

DAY = 86_400.0

CERTIFICATE_DAYS = 14
"""Days left to the ops address's certificate from which it is a worry; the alert says so too."""


class State(StrEnum):
    """How well something does."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"


_ORDER = tuple(State)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        reason: Bound it is in this state, in words.
        latency: Seconds that it took to answer, where it was asked something.
        age: Seconds since it was last looked at, where that is not now.
    """

    name: str
    state: State
    reason: str
    latency: float | None = None
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """One of the guide's levels."""

    name: str
    findings: tuple[Finding, ...]

    @property
    def state(self) -> State:
        """The worst of its findings."""
        return _worst(finding.state for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Health:
    """The four levels, and whether new lessons should come here."""

    levels: tuple[Level, ...]
    ready: bool

    @property
    def state(self) -> State:
        """The worst of its levels."""
        return _worst(level.state for level in self.levels)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """From where on something is degraded and failed; the lower the better."""

    degraded: float
    failed: float

    def judge(self, value: float) -> State:
        """Return the finding on a value."""
        if value >= self.failed:
            return State.FAILED
        return State.DEGRADED if value >= self.degraded else State.OK


BOUNDS: dict[Bound, str] = {
    "max_lessons": "lessons.max_lessons",
    "processors": "what is idle of the processors",
    "memory": "what is free of the memory",
    "starts": "those that begin just now",
    "late": "what those that run are late",
}
"""What bounds how many lessons the host takes."""

LAG = _Bounds(0.25, 2.0)
MEMORY = _Bounds(0.85, 0.95)
DISK_USED = _Bounds(0.90, 0.98)


def assess(status: HostStatus, jwt_warn_before: float = 7 * DAY) -> Health:
    """Return the findings on a status.

    Args:
        status: What is seen.
        jwt_warn_before: Seconds before its expiry from which AGENT_JWT_TOKEN is a worry.
    """
    levels = (
        Level("host", tuple(_host(status))),
        Level("livekit", tuple(_livekit(status))),
        Level("api", tuple(_api(status, jwt_warn_before))),
        Level("database", tuple(_database(status))),
    )
    working = all(level.state is not State.FAILED for level in levels[:2])
    return Health(levels, ready=status.phase is Phase.SERVING and working)


def _host(status: HostStatus) -> Iterator[Finding]:
    yield Finding("phase", State.OK, f"the host is {status.phase}")
    yield _config(status.stale_config)
    busy = sum(worker.busy for worker in status.workers)
    room = f"room for {max(0, status.headroom.lessons)} more, by {BOUNDS[status.headroom.bound]}"
    yield Finding("lessons", State.OK, f"{busy} jobs, {len(status.lessons)} lessons, {room}")
    yield _waiting(status)
    yield _engines(status)
    yield _forkserver(status)
    yield _probe("job processes", status.jobs, status.now)
    lag = "the longest delay of the event loop lately"
    yield Finding("loop", LAG.judge(status.lag), lag, latency=status.lag)
    yield Finding("memory", MEMORY.judge(status.memory), f"{status.memory:.0%} of memory is used")
    disk = f"{status.disk_free:.0%} of the ledger's disk is free"
    yield Finding("disk", DISK_USED.judge(1 - status.disk_free), disk)
    if status.certificate_left is not None:
        yield _certificate(status.certificate_left / DAY)


def _certificate(days: float) -> Finding:
    """Judge what only those need who look at the host: its lessons go on without."""
    if days <= 0:
        why = "has expired, so that whoever checks it cannot look in: have it renewed"
        return Finding("ops certificate", State.DEGRADED, why)
    state = State.DEGRADED if days < CERTIFICATE_DAYS else State.OK
    return Finding("ops certificate", state, f"is good for {days:.1f} days more")


def _config(stale: str | None) -> Finding:
    if stale is None:
        return Finding("config", State.OK, "what config/ says is what runs")
    return Finding("config", State.DEGRADED, f"config/ says something else than what runs: {stale}")


def _waiting(status: HostStatus) -> Finding:
    if not status.waiting:
        return Finding("learners", State.OK, "nobody waits for a tutor")
    state = State.DEGRADED if status.alone > ALONE_SECONDS else State.OK
    count = (
        "1 learner waits" if len(status.waiting) == 1 else f"{len(status.waiting)} learners wait"
    )
    return Finding("learners", state, f"{count} for a tutor, the longest for {status.alone:.0f} s")


def _engines(status: HostStatus) -> Finding:
    """Judge whether fallbacks serve: lessons go on, with other voices or worse recognition."""
    served = Counter(
        f"{one.tutor}: engines.{kind}[{index}]"
        for one in status.lessons
        for kind, index in one.engines.items()
        if index
    )
    if not served:
        return Finding("engines", State.OK, "no lesson is served by a fallback")
    told = "; ".join(f"{what} serves {_lessons(count)}" for what, count in sorted(served.items()))
    return Finding("engines", State.DEGRADED, told)


def _lessons(count: int) -> str:
    return "1 lesson" if count == 1 else f"{count} lessons"


def _forkserver(status: HostStatus) -> Finding:
    if status.forkserver:
        return Finding("forkserver", State.OK, "jobs can be started")
    return Finding("forkserver", State.FAILED, "is gone, so no job starts: the host is to end")


def _livekit(status: HostStatus) -> Iterator[Finding]:
    yield from (_worker(worker) for worker in status.workers)
    yield _probe("rooms API", status.rooms, status.now)
    if status.refused_key is not None:
        why = f"LiveKit did not take the new one, so the one before is used: {status.refused_key}"
        yield Finding("LIVEKIT_API_KEY", State.DEGRADED, why)


def _worker(worker: WorkerStatus) -> Finding:
    name = f"worker {worker.tutor}"
    if worker.leaving:
        return Finding(name, State.OK, f"takes no jobs any more, {worker.busy} still run")
    if worker.stuck:
        return Finding(name, State.FAILED, "no process for its jobs gets ready: see the log")
    if worker.online:
        return Finding(name, State.OK, f"registered, {worker.busy} of {worker.places} places taken")
    if worker.is_new:
        return Finding(name, State.DEGRADED, "not registered yet")
    return Finding(name, State.FAILED, "not registered: see livekit.url and LIVEKIT_API_KEY")


def _api(status: HostStatus, jwt_warn_before: float) -> Iterator[Finding]:
    yield _agent_jwt(status.agent_jwt_left, jwt_warn_before)
    for endpoint in sorted(status.endpoints):
        yield _endpoint(endpoint, status)


def _endpoint(endpoint: str, status: HostStatus) -> Finding:
    last = status.endpoints[endpoint]
    age = status.now - last.at
    told = _ago(age)
    if last.breaker is BreakerState.OPEN:
        why = f"left alone for a while: {last.failure or 'it failed repeatedly'}"
        return Finding(endpoint, State.FAILED, why, last.seconds, age)
    if last.failure:
        return Finding(endpoint, State.DEGRADED, f"{last.failure}, {told}", last.seconds, age)
    if last.seconds > SLOW_SECONDS:
        why = f"slower than {SLOW_SECONDS:g} s, {told}"
        return Finding(endpoint, State.DEGRADED, why, last.seconds, age)
    return Finding(endpoint, State.OK, f"answered {told}", last.seconds, age)


def _agent_jwt(left: float | None, warn_before: float) -> Finding:
    if left is None:
        return Finding("AGENT_JWT_TOKEN", State.OK, "does not say when it expires")
    if left <= 0:
        return Finding("AGENT_JWT_TOKEN", State.FAILED, "has expired: have the Loqua admin renew")
    state = State.DEGRADED if left < warn_before else State.OK
    return Finding("AGENT_JWT_TOKEN", state, f"lives {left / DAY:.1f} days more")


def _database(status: HostStatus) -> Iterator[Finding]:
    yield _probe("ledger", status.ledger, status.now)
    yield _outbox(status)
    if "health" in status.endpoints:
        yield replace(_endpoint("health", status), name="API's database")
    else:
        yield Finding("API's database", State.OK, "not asked yet; the first lesson does")


def _outbox(status: HostStatus) -> Finding:
    backlog = status.backlog
    told = f"{backlog.records} records and {backlog.progress} progress updates are pending"
    age = 0.0 if backlog.oldest is None else status.unix - backlog.oldest
    if overdue := age > OVERDUE_SECONDS:
        told += f", the oldest for {age / 60:.0f} min"
    if backlog.dead:
        told += f"; {backlog.dead} were refused for good"
    return Finding("outbox", State.DEGRADED if overdue or backlog.dead else State.OK, told)


def _probe(name: str, last: Outcome | None, now: float) -> Finding:
    if last is None:
        return Finding(name, State.DEGRADED, "not asked yet")
    age = now - last.at
    if last.failure:
        return Finding(name, State.FAILED, last.failure, last.seconds, age)
    if age > STALE_SECONDS:
        return Finding(name, State.DEGRADED, f"last asked {_ago(age)}", last.seconds, age)
    slow = last.seconds > SLOW_SECONDS
    state = State.DEGRADED if slow else State.OK
    return Finding(name, state, f"answered {_ago(age)}", last.seconds, age)


def _ago(seconds: float) -> str:
    return f"{max(0.0, seconds):.0f} s ago"


def _worst(states: Iterator[State]) -> State:
    return max(states, key=_ORDER.index, default=State.OK)
