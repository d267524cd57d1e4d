"""The frozen snapshot of the host that the status page, `/status` and `loqua-host top` share.

Ages and waits are in seconds before the snapshot, so that no reader needs the host's clocks.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from loqua_host.contract.records import Mode

from .health import BOUNDS, Health, HealthFinding, HealthState
from .history import Hours, LastHour
from .recent_errors import RecentError
from .runbooks import runbook_of_event, runbook_of_finding
from .status import HostStatus, LessonStatus, Phase, WorkerStatus

__all__ = [
    "CapacitySnapshot",
    "EndpointSnapshot",
    "ErrorSnapshot",
    "FindingSnapshot",
    "HostSnapshot",
    "LessonSnapshot",
    "LevelSnapshot",
    "OutboxSnapshot",
    "TutorSnapshot",
    "WaitingSnapshot",
    "take_snapshot",
]

Registration = Literal["draining", "offline", "registered", "registering", "stuck"]

REGISTRATION_STATES: dict[Registration, HealthState] = {
    "draining": HealthState.DEGRADED,
    "offline": HealthState.FAILED,
    "registered": HealthState.OK,
    "registering": HealthState.DEGRADED,
    "stuck": HealthState.FAILED,
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class FindingSnapshot(_Frozen):
    """A finding of the host's health, with the runbook that explains it."""

    name: str
    state: HealthState
    reason: str
    latency: float | None = None
    runbook: str | None = None


class LevelSnapshot(_Frozen):
    """One of the four levels of health."""

    name: str
    state: HealthState
    findings: tuple[FindingSnapshot, ...]


class TutorSnapshot(_Frozen):
    """A tutor and its worker.

    Attributes:
        agent_name: The name to call it by; empty if LiveKit dispatches it to every new room.
        jobs: Running and starting jobs, `max_jobs` of which may run.
        waiting: Learners who wait for it.
        last_hour: Its series for sparklines.
    """

    name: str
    agent_name: str
    dispatch: Literal["automatic", "explicit"]
    state: HealthState
    registration: Registration
    lessons: int
    jobs: int
    max_jobs: int
    waiting: int
    last_hour: LastHour


class WaitingSnapshot(_Frozen):
    """The learners who wait for one tutor, and the longest of their waits."""

    tutor: str
    learners: int
    longest: float


class LessonSnapshot(_Frozen):
    """A running lesson, without its learner.

    Attributes:
        id: The first characters of its id.
        mode: Whether it has the API, cached data, or neither.
        age: Seconds since it began.
        restarts: How often its tutor was lost and restored.
        fallbacks: The engines that serve instead of the first of their list, such as `tts[1]`.
    """

    id: str
    tutor: str
    state: HealthState
    mode: str
    age: float
    restarts: int
    fallbacks: tuple[str, ...]


class EndpointSnapshot(_Frozen):
    """An endpoint of the Loqua API: its circuit breaker and its last response."""

    name: str
    state: HealthState
    breaker: str
    seconds: float
    age: float
    failure: str | None


class OutboxSnapshot(_Frozen):
    """The undelivered entries of the outbox.

    Attributes:
        oldest: The age of the oldest record; None if there is none.
        dead: Entries that the API refused permanently.
        spooled: Entries on the local disk, which wait for the ledger.
    """

    records: int
    progress: int
    dead: int
    oldest: float | None
    spooled: int


class CapacitySnapshot(_Frozen):
    """The number of lessons that the host still accepts, its limit, and the machine's usage.

    Attributes:
        memory: The ratio in use.
        cpu_load: Runnable processes per CPU.
        disk_free: The free ratio of the ledger's disk.
        lag: The longest recent delay of the event loop.
    """

    lessons_free: int
    limit: str
    memory: float
    cpu_load: float
    disk_free: float
    lag: float


class ErrorSnapshot(_Frozen):
    """A recent warning or error, what to do about it, and its runbook.

    Attributes:
        age: Seconds since it last happened.
        times: How often it happened.
    """

    age: float
    state: HealthState
    level: str
    event: str
    why: str
    hint: str
    runbook: str | None
    tutor: str
    times: int


class HostSnapshot(_Frozen):
    """The host at one moment, without personal data.

    Attributes:
        taken_at: The Unix time.
        uptime: Seconds since the host's start.
        ready: Whether new lessons should come to this host.
        lessons: The running lessons, those in trouble first.
        errors: The recent warnings and errors, newest first.
    """

    taken_at: float
    uptime: float
    phase: Phase
    ready: bool
    state: HealthState
    levels: tuple[LevelSnapshot, ...]
    tutors: tuple[TutorSnapshot, ...]
    waiting: tuple[WaitingSnapshot, ...]
    lessons: tuple[LessonSnapshot, ...]
    endpoints: tuple[EndpointSnapshot, ...]
    outbox: OutboxSnapshot
    capacity: CapacitySnapshot
    errors: tuple[ErrorSnapshot, ...]
    last_hour: LastHour

    def of_tutor(self, name: str) -> "HostSnapshot":
        """Return what it has of one tutor; checks, endpoints and outbox remain the host's."""
        tutors = tuple(one for one in self.tutors if one.name == name)
        return self.model_copy(
            update={
                "tutors": tutors,
                "waiting": tuple(one for one in self.waiting if one.tutor == name),
                "lessons": tuple(one for one in self.lessons if one.tutor == name),
                "errors": tuple(one for one in self.errors if one.tutor == name),
                "last_hour": tutors[0].last_hour if tutors else LastHour(),
            }
        )


def take_snapshot(
    status: HostStatus, health: Health, errors: Sequence[RecentError], hours: Hours
) -> HostSnapshot:
    """Return the snapshot of a status.

    Args:
        status: The status.
        health: Its health.
        errors: The recent errors, newest first.
        hours: The series for sparklines.
    """
    return HostSnapshot(
        taken_at=status.unix,
        uptime=status.now - status.since,
        phase=status.phase,
        ready=health.ready,
        state=health.state,
        levels=tuple(_levels(health, status)),
        tutors=tuple(_tutor(worker, status, hours) for worker in status.workers),
        waiting=tuple(_waiting(status)),
        lessons=_lessons(status),
        endpoints=tuple(_endpoints(health, status)),
        outbox=_outbox(status),
        capacity=_capacity(status),
        errors=tuple(_error(error, status.now) for error in errors),
        last_hour=hours.host,
    )


def _levels(health: Health, status: HostStatus) -> Iterator[LevelSnapshot]:
    for level in health.levels:
        findings = tuple(_finding(finding, status) for finding in level.findings)
        yield LevelSnapshot(name=level.name, state=level.state, findings=findings)


def _finding(finding: HealthFinding, status: HostStatus) -> FindingSnapshot:
    return FindingSnapshot(
        name=finding.name,
        state=finding.state,
        reason=finding.reason,
        latency=finding.latency,
        runbook=runbook_of_finding(finding, status),
    )


def _tutor(worker: WorkerStatus, status: HostStatus, hours: Hours) -> TutorSnapshot:
    registration = _registration(worker)
    return TutorSnapshot(
        name=worker.tutor,
        agent_name=worker.agent_name,
        dispatch="explicit" if worker.agent_name else "automatic",
        state=REGISTRATION_STATES[registration],
        registration=registration,
        lessons=sum(lesson.tutor == worker.tutor for lesson in status.lessons),
        jobs=worker.busy,
        max_jobs=worker.places,
        waiting=sum(wait.tutor == worker.tutor for wait in status.waiting),
        last_hour=hours.tutors.get(worker.tutor, LastHour()),
    )


def _registration(worker: WorkerStatus) -> Registration:
    if worker.leaving:
        return "draining"
    if worker.stuck:
        return "stuck"
    if worker.online:
        return "registered"
    return "registering" if worker.is_new else "offline"


def _waiting(status: HostStatus) -> Iterator[WaitingSnapshot]:
    counted = Counter(wait.tutor for wait in status.waiting)
    for tutor, learners in sorted(counted.items()):
        longest = max(wait.seconds for wait in status.waiting if wait.tutor == tutor)
        yield WaitingSnapshot(tutor=tutor, learners=learners, longest=longest)


def _lessons(status: HostStatus) -> tuple[LessonSnapshot, ...]:
    lessons = (_lesson(lesson, status.unix) for lesson in status.lessons)
    return tuple(sorted(lessons, key=lambda one: (one.state is HealthState.OK, -one.age)))


def _lesson(lesson: LessonStatus, now: float) -> LessonSnapshot:
    fallbacks = tuple(f"{kind}[{index}]" for kind, index in lesson.engines.items() if index)
    is_well = lesson.mode == Mode.FULL and not lesson.restarts and not fallbacks
    return LessonSnapshot(
        id=lesson.short_id,
        tutor=lesson.tutor,
        state=HealthState.OK if is_well else HealthState.DEGRADED,
        mode=lesson.mode,
        age=max(0.0, now - lesson.opened_at),
        restarts=lesson.restarts,
        fallbacks=fallbacks,
    )


def _endpoints(health: Health, status: HostStatus) -> Iterator[EndpointSnapshot]:
    states = {one.name: one.state for level in health.levels for one in level.findings}
    for name, endpoint in sorted(status.endpoints.items()):
        yield EndpointSnapshot(
            name=name,
            state=states[name],
            breaker=endpoint.breaker,
            seconds=endpoint.seconds,
            age=max(0.0, status.now - endpoint.at),
            failure=endpoint.failure,
        )


def _outbox(status: HostStatus) -> OutboxSnapshot:
    backlog = status.backlog
    return OutboxSnapshot(
        records=backlog.records,
        progress=backlog.progress,
        dead=backlog.dead,
        oldest=None if backlog.oldest is None else max(0.0, status.unix - backlog.oldest),
        spooled=status.spooled,
    )


def _capacity(status: HostStatus) -> CapacitySnapshot:
    return CapacitySnapshot(
        lessons_free=max(0, status.headroom.lessons),
        limit=BOUNDS[status.headroom.bound],
        memory=status.memory,
        cpu_load=status.cpu_load,
        disk_free=status.disk_free,
        lag=status.lag,
    )


def _error(error: RecentError, now: float) -> ErrorSnapshot:
    return ErrorSnapshot(
        age=max(0.0, now - error.at),
        state=HealthState.DEGRADED if error.level == "warning" else HealthState.FAILED,
        level=error.level,
        event=error.event,
        why=error.why,
        hint=error.hint,
        runbook=runbook_of_event(error.event),
        tutor=error.tutor,
        times=error.times,
    )
