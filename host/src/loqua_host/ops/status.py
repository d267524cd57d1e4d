"""What is seen of a running host at one moment; health, metrics and the page are told from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from loqua_host.capacity.admission import Headroom
from loqua_host.core.endpoints import EndpointStatus
from loqua_host.link.messages import EngineKind
from loqua_host.records.ledger import Backlog

__all__ = ["HostStatus", "LessonStatus", "Outcome", "Phase", "WorkerStatus"]


class Phase(StrEnum):
    """Where the host is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How something went when it was last tried.

    Attributes:
        at: Monotonic seconds.
        seconds: How long it took.
        failure: What went wrong, in words; None if nothing did.
    """

    at: float
    seconds: float
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A tutor's worker: whether LiveKit knows it, and how many of its places are taken.

    Attributes:
        is_new: Whether LiveKit has not had it yet.
        leaving: Whether its tutor takes no jobs any more, and only its last ones run.
        stuck: Whether no process for its jobs gets ready.
    """

    tutor: str
    agent_name: str
    online: bool
    busy: int
    places: int
    is_new: bool = False
    leaving: bool = False
    stuck: bool = False


@dataclass(frozen=True, slots=True)
class LessonStatus:
    """A running lesson, without its learner.

    Attributes:
        short_id: The host's own.
        opened_at: Unix seconds.
        engines: Which engine of a list serves, by kind; one by itself is not told.
    """

    short_id: str
    tutor: str
    mode: str
    opened_at: float
    restarts: int
    engines: Mapping[EngineKind, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HostStatus:
    """All of it.

    Attributes:
        now: Monotonic seconds: when this was seen. Only differences mean anything.
        unix: The same moment in unix seconds, for what is dated in the ledger.
        since: When the host was started, in monotonic seconds.
        stale_config: Why the host does not run what config/ says, if it does not.
        refused_key: Why the host does not use LiveKit's key as secrets have it, if it does not.
        lag: The longest that the event loop kept a task waiting lately, in seconds.
        memory: How much of the memory is used, from 0 to 1; of the container's, if it has a bound.
        headroom: How many more lessons the host takes now.
        cpu_load: Processes that want a CPU, per CPU, over the last minute.
        forkserver: Whether the process is there that jobs are forked from.
        jobs: Whether a job could start and reach the host; None until it was tried.
        disk_free: How much of the ledger's disk is free, from 0 to 1.
        waiting: For how many seconds each learner has been waiting who is owed a tutor.
        rooms: LiveKit's rooms API; None until it was asked.
        endpoints: The Loqua API's endpoints that were called, by name.
        agent_jwt_left: Seconds that AGENT_JWT_TOKEN lives on; None if it does not say.
        certificate_left: Seconds that the ops address's certificate is good for, if it has one.
        user_token_left: Seconds that a learner's token lives on, the least of those in use.
        ledger: The ledger; None until it was asked.
        backlog: What the API is still to be sent.
        ledger_busy: Seconds that the ledger's only connection has been in use so far.
        ledger_failures: How often the ledger's database has failed so far.
        spooled: Notes of lessons that wait for the ledger on this machine's disk.
        secret_failures: How often a secret could not be looked up so far.
    """

    now: float
    unix: float = 0.0
    since: float = 0.0
    phase: Phase = Phase.STARTING
    stale_config: str | None = None
    refused_key: str | None = None
    lag: float = 0.0
    memory: float = 0.0
    headroom: Headroom = field(default_factory=lambda: Headroom(0, "max_lessons"))
    cpu_load: float = 0.0
    forkserver: bool = True
    jobs: Outcome | None = None
    disk_free: float = 1.0
    workers: tuple[WorkerStatus, ...] = ()
    lessons: tuple[LessonStatus, ...] = ()
    waiting: tuple[float, ...] = ()
    rooms: Outcome | None = None
    endpoints: Mapping[str, EndpointStatus] = field(default_factory=dict)
    agent_jwt_left: float | None = None
    certificate_left: float | None = None
    user_token_left: float | None = None
    ledger: Outcome | None = None
    backlog: Backlog = field(default_factory=Backlog)
    ledger_busy: float = 0.0
    ledger_failures: int = 0
    spooled: int = 0
    secret_failures: int = 0

    @property
    def alone(self) -> float:
        """The longest that a learner has been waiting, in seconds."""
        return max(self.waiting, default=0.0)
