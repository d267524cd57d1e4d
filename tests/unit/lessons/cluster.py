"""Hosts that share a ledger, with rooms, learners and jobs, on virtual time.

What the hosts do is real: lessons, reconciler, handoffs, recovery, and the ledger's own statements
in SQLite's memory. LiveKit, the API and the jobs are not.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeVar

from tests.unit.conftest import START_TIME
from tests.unit.lessons.fake_loqua import FakeLoqua

from loqua_host.contract.handoff import HandoffRequest
from loqua_host.contract.records import Ending
from loqua_host.errors import RefusedError
from loqua_host.lessons.decisions import Capacity, NotifyWaiting
from loqua_host.lessons.departure import Departure
from loqua_host.lessons.dispatch_state import DispatchState
from loqua_host.lessons.lessons import Lessons
from loqua_host.lessons.metrics import LessonMetrics
from loqua_host.lessons.reconciler import Reconciler
from loqua_host.lessons.recovery import recover
from loqua_host.lessons.services import Services
from loqua_host.lessons.tutors import TUTOR, RunningTutor
from loqua_host.link.dispatch_metadata import is_handover
from loqua_host.link.messages import (
    CallSpecialist,
    Finish,
    HandedBack,
    HandoffRefused,
    Join,
    Recorded,
    Refused,
    StepOut,
    SteppedOut,
    Welcome,
)
from loqua_host.link.server import JobRef
from loqua_host.observability.metrics import Instruments
from loqua_host.records.database import DatabaseConnection
from loqua_host.records.encryption import KeyRing
from loqua_host.records.leases import LEASE, end_lease, renew_lease
from loqua_host.records.ledger import ALREADY_TAUGHT, CRASH_LOOP, Ledger, LessonRow
from loqua_host.rooms.learners import Participant
from loqua_host.rooms.rooms import Dispatch, RoomCounts
from loqua_host.settings.host import HostSettings
from loqua_host.testing.database import MemoryDatabase
from loqua_host.testing.tutors import running_tutor

__all__ = ["RECONNECT_TIMEOUT", "TUTORS", "SimulatedCluster", "SimulatedHost", "SimulatedJob"]

T = TypeVar("T")

RECONNECT_TIMEOUT = 30.0
DRAIN_SECONDS = 600.0
DEAD_AGENT_SECONDS = 20.0
"""How long LiveKit keeps a dead agent in its room."""

TUTORS = {
    "tutor": running_tutor("tutor", "", "agent", 2),
    "grammar": running_tutor("grammar", "grammar-expert", "agent", 1),
}
HOST_CAPACITY = 2
SETTINGS = HostSettings.model_validate(
    {
        "agent_id": "loqua-host",
        "livekit": {"url": "ws://livekit"},
        "api": {"api_base_url": "http://api"},
        "environment": "development",
        "tutors": (),
    }
)
NAMES = {tutor.agent_name: name for name, tutor in TUTORS.items()}


class SimulatedLink:
    """A link to a job, with the messages that a test sends."""

    def __init__(self, job: JobRef) -> None:
        self.job = job
        self.inbox = asyncio.Queue[Any]()
        self.sent: list[Any] = []

    async def send(self, message: Any) -> None:
        """Send a message to the job."""
        self.sent.append(message)

    async def receive(self) -> Any:
        """Receive from the job; None after its end."""
        return await self.inbox.get()

    async def close(self) -> None:
        """Close the link."""


class SimulatedJob:
    """A job from its acceptance to its end.

    Attributes:
        learner: Whom it teaches, once it does.
        since: When that began, in unix seconds.
        calls: How often it has called a specialist, with a call of the job before it.
        away_since: When its learner left who may return, in monotonic seconds.
    """

    def __init__(self, ref: JobRef, host: "SimulatedHost") -> None:
        self.ref, self.host, self.link = ref, host, SimulatedLink(ref)
        self.learner: Participant | None = None
        self.joined = False
        self.since = 0.0
        self.calls = 0
        self.away_since: float | None = None

    @property
    def agent(self) -> str:
        """Its identity in the room."""
        return f"agent-{self.ref.job_id}"

    @property
    def answers(self) -> list[Any]:
        """The answers to its calls."""
        return [it for it in self.link.sent if isinstance(it, HandedBack | HandoffRefused)]

    @property
    def waits(self) -> bool:
        """Whether it has called a specialist and has no answer yet."""
        return len(self.answers) < self.calls

    def send_to_host(self, message: Any) -> None:
        """Send a message to its host; None is the end of the link."""
        self.link.inbox.put_nowait(message)


class ObservedLessons(Lessons):
    """Lessons that report each closing to the cluster."""

    def __init__(self, cluster: "SimulatedCluster", services: Services) -> None:
        super().__init__(services)
        self._cluster = cluster

    async def close(self, row: LessonRow, reason: str) -> None:
        """Close an interrupted lesson, which settles its entry."""
        self._cluster.settle(row.room, row.entry, row.tutor, reason)
        await super().close(row, reason)


class OwnTutors(Mapping[str, RunningTutor]):
    """The enabled tutors except one."""

    def __init__(self, enabled: Mapping[str, RunningTutor], but: str | None) -> None:
        self._enabled, self._but = enabled, but

    def __getitem__(self, name: str) -> RunningTutor:
        """Return an enabled tutor."""
        if name == self._but:
            raise KeyError(name)
        return self._enabled[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return (name for name in self._enabled if name != self._but)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._enabled.keys() - {self._but})


class SimulatedHost:
    """A host; a killed one does not finish its remaining work."""

    def __init__(self, cluster: "SimulatedCluster", name: str, but: str | None = None) -> None:
        self.name, self.cluster = name, cluster
        self.alive = True
        self.tasks: set[asyncio.Task[Any]] = set()
        self.loqua = FakeLoqua(failing=self._failing)
        self.departures: dict[str, Departure] = {}
        self.said: list[NotifyWaiting] = []
        self.dispatch_state = DispatchState(cluster.monotonic, self.departures.get)
        self.tutors = OwnTutors(cluster.tutors, but)
        self.ledger = Ledger(self, KeyRing(()), name, None, 1.0)  # type: ignore[arg-type]  # a fake
        fakes: Any = {"rooms": self, "api": self.loqua, "delivery": self, "tasks": self}
        self.metrics = LessonMetrics(Instruments())
        self.services = Services(
            **fakes,
            ledger=self.ledger,
            dispatch_state=self.dispatch_state,
            tutors=self.tutors,
            settings=lambda: SETTINGS,
            clock=cluster,
            metrics=self.metrics,
        )
        self.lessons = ObservedLessons(cluster, self.services)
        self.reconciler = Reconciler(self.services, self.capacity, self.lessons, self.said.append)

    def create_task(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something for as long as the host lives."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def write(self, work: Callable[[DatabaseConnection], T]) -> T:
        """Do a piece of work in the ledger."""
        await self._live()
        with self.cluster.database.transaction() as connection:
            return work(connection)

    write_with_retry = write

    async def maintain(self) -> None:
        """Renew the lease and take over what dead hosts left."""
        await recover(self.services)

    def capacity(self) -> Capacity:
        """Count what is free."""
        if self.dispatch_state.leaving:
            return Capacity(0, {})
        busy = [job.ref.tutor for job in self.jobs]
        free = {one.name: one.max_jobs - busy.count(one.name) for one in self.tutors.values()}
        return Capacity(HOST_CAPACITY - len(busy), free)

    @property
    def jobs(self) -> list[SimulatedJob]:
        """The jobs that run here."""
        return [job for job in self.cluster.jobs.values() if job.host is self]

    def wake(self, lesson: str | None = None) -> None:
        """Deliver the outbox at once."""

    async def wait_delivered(self, lesson: str) -> None:
        """Wait until it is delivered, which it is."""

    async def participants(self, room: str) -> list[Participant]:
        """List who is in a room."""
        await self._live()
        return list(self.cluster.people.get(room, {}).values())

    async def counts(self) -> dict[str, RoomCounts]:
        """List the rooms."""
        await self._live()
        return {room: _counts_of(people) for room, people in self.cluster.people.items()}

    async def dispatched(self, room: str) -> list[Dispatch]:
        """List a room's dispatches."""
        await self._live()
        return list(self.cluster.dispatches.get(room, ()))

    async def withdraw(self, room: str, agent_name: str) -> list[Dispatch]:
        """Take dispatches back."""
        before = await self.dispatched(room)
        if room in self.cluster.dispatches:
            self.cluster.dispatches[room] = [it for it in before if it.agent_name != agent_name]
        return [it for it in before if it.agent_name == agent_name]

    async def dispatch(self, room: str, dispatch: Dispatch) -> None:
        """Dispatch for the host, for a learner without a tutor or for a call."""
        await self._live()
        tutor = NAMES[dispatch.agent_name]
        called = self.dispatch_state._called[room, tutor].identity
        one = self.cluster.people.get(room, {}).get(called or "")
        lost = {
            row.row.user_id
            for row in self.dispatch_state.interrupted(room)
            if row.row.tutor == tutor
        }
        if one is not None and one.attributes["user_id"] not in lost:
            asked = tutor in self.dispatch_state.asked(room)
            assert asked == is_handover(dispatch.metadata), "handed over without being asked"
            assert asked or (room, one.sid, tutor) not in self.cluster.over, "called after the end"
        self.cluster.send(room, dispatch)

    async def remove(self, room: str, identity: str) -> None:
        """Remove a participant."""
        await self._live()
        self.cluster.people.get(room, {}).pop(identity, None)
        self.cluster.dead_agents.pop((room, identity), None)

    async def mark(self, room: str, identity: str, name: str, value: str) -> bool:
        """Set an attribute; return whether the participant is there."""
        await self._live()
        people = self.cluster.people.get(room, {})
        if one := people.get(identity):
            people[identity] = replace(one, attributes={**one.attributes, name: value})
        return one is not None

    async def _live(self) -> None:
        await asyncio.sleep(0)
        if not self.alive:
            raise asyncio.CancelledError

    def _failing(self, method: str, caller: Any) -> RefusedError | None:
        refused = method == "lease" and caller.user_id in self.cluster.refusing
        return RefusedError("user-token", "no") if refused else None


def _counts_of(people: Mapping[str, Participant]) -> RoomCounts:
    """Return LiveKit's counts of a room, in which learners do not publish."""
    agents = sum(one.kind == "agent" for one in people.values())
    return RoomCounts(sum(one.kind == "standard" for one in people.values()), agents)


@dataclass
class SimulatedCluster:
    """LiveKit's rooms, the ledger, and the jobs of all hosts.

    Attributes:
        offers: Dispatches under way to a worker.
        ghosts: Agents that are dead, with the time at which LiveKit drops them.
        over: Entries into rooms, with the tutor, whose lesson ended or was refused.
        given_up: Those of which it crashed again and again.
        refusing: Learners whom the API refuses.
        losing: Whether LiveKit loses dispatches.
    """

    people: dict[str, dict[str, Participant]] = field(default_factory=dict)
    dispatches: dict[str, list[Dispatch]] = field(default_factory=dict)
    offers: list[tuple[str, Dispatch]] = field(default_factory=list)
    jobs: dict[str, SimulatedJob] = field(default_factory=dict)
    dead_agents: dict[tuple[str, str], float] = field(default_factory=dict)
    over: set[tuple[str, str, str]] = field(default_factory=set)
    given_up: set[tuple[str, str, str]] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    losing: bool = False
    tutors: dict[str, RunningTutor] = field(default_factory=lambda: dict(TUTORS))
    hosts: dict[str, SimulatedHost] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)
    step: float = 0.0

    def __post_init__(self) -> None:
        """Begin with an empty ledger."""
        self._clock = asyncio.get_running_loop().time
        self.database = MemoryDatabase(lambda: self.now() + self.step)

    def set_clock(self, seconds: float) -> None:
        """Set the clock of the ledger's database, by so many seconds."""
        self.step += seconds

    def monotonic(self) -> float:
        """Return seconds that never step."""
        return self._clock()

    def now(self) -> float:
        """Return unix seconds."""
        return START_TIME + self._clock()

    @property
    def teaching(self) -> list[SimulatedJob]:
        """The jobs that teach."""
        return [job for job in self.jobs.values() if job.learner is not None]

    async def start(self, name: str, but: str | None = None) -> None:
        """Start a host, as after a crash: with nothing but the ledger, and without one tutor."""
        host = SimulatedHost(self, f"{name}{next(self.numbers)}", but)
        await host.write(lambda db: renew_lease(db, host.name))
        await host.maintain()
        self.hosts[name] = host

    async def kill(self, name: str, *, agents_stay: bool) -> None:
        """Kill a host; its jobs leave, or die without a word."""
        host = self.hosts.pop(name)
        host.alive = False
        for task in list(host.tasks):
            task.cancel()
        for job in host.jobs:
            if agents_stay:
                self._keep_dead_agent(job)
            else:
                self._leave(job)
        await idle()

    async def stop(self, name: str) -> None:
        """Stop a host: its lessons continue, jobs without a lesson leave."""
        host = self.hosts[name]
        host.lessons.withdraw()
        for job in host.jobs:
            host.departures[job.ref.job_id] = Departure.within(DRAIN_SECONDS, "host_stopping")
        await host.lessons.announce_departure({job.ref.job_id for job in host.jobs})
        for job in host.jobs:
            if job.learner is None:
                self._leave(job)
        await idle()

    async def end(self, name: str) -> None:
        """End a stopping host: running lessons are cut off, and its lease ends."""
        host = self.hosts[name]
        await host.lessons.cut_off({job.ref.job_id for job in host.jobs})
        for job in host.jobs:
            self._leave(job)
            job.send_to_host(None)
        await idle()
        await host.write(lambda db: end_lease(db, host.name))
        await self.kill(name, agents_stay=False)

    async def look(self) -> None:
        """Run each host's reconciler once."""
        for host in list(self.hosts.values()):
            await host.reconciler.look()

    async def pass_time(self, seconds: float) -> None:
        """Advance the clock: hosts renew their leases, and LiveKit drops dead agents."""
        end = self.now() + seconds
        while (left := end - self.now()) > 0:
            await asyncio.sleep(min(left, LEASE / 3))
            for host in list(self.hosts.values()):
                await host.maintain()
        for (room, agent), at in list(self.dead_agents.items()):
            if at <= self.now():
                del self.dead_agents[room, agent]
                self.people.get(room, {}).pop(agent, None)

    def enter(self, room: str, user_id: str) -> None:
        """Enter a learner; LiveKit dispatches the automatic tutor to a new room."""
        new = room not in self.people
        entry = f"PA_{next(self.numbers)}"
        self.people.setdefault(room, {})[user_id] = Participant(
            user_id, "standard", "", {"user_id": user_id}, False, self.now(), entry
        )
        for job in self._away(room, user_id):
            job.away_since, job.learner = None, self.people[room][user_id]
            job.send_to_host(Join(identity=user_id))
        if new:
            self.send(room, Dispatch(""))

    async def disconnect(self, room: str, user_id: str) -> None:
        """Disconnect a learner; their tutors, if any, wait for them to return."""
        jobs = [job for job in self.teaching if _is(job, room, user_id)]
        if not jobs:
            await self.leave_room(room, user_id)
            return
        del self.people[room][user_id]
        for job in jobs:
            job.away_since = self.monotonic()

    async def answer_hosts(self) -> None:
        """Leave or finish lessons whose learner is away when the host requests it."""
        for job in [job for job in self.teaching if job.away_since is not None]:
            if isinstance(job.link.sent[-1], StepOut):
                await self._step_out(job)
            elif job.away_since and self.monotonic() - job.away_since >= RECONNECT_TIMEOUT:
                await self.finish(job)
                self._close_if_empty(job.ref.room)

    async def _step_out(self, job: SimulatedJob) -> None:
        job.send_to_host(SteppedOut(ending=Ending(reason="learner_left", seconds=0.0)))
        await idle()
        assert isinstance(job.link.sent[-1], Recorded)
        self._leave(job)
        job.send_to_host(None)
        await idle()
        self._close_if_empty(job.ref.room)

    def _away(self, room: str, user_id: str) -> list[SimulatedJob]:
        here = [job for job in self.teaching if _is(job, room, user_id)]
        return [job for job in here if job.away_since is not None]

    async def leave_room(self, room: str, user_id: str) -> None:
        """Remove a learner; the jobs teaching them finish, and an empty room closes."""
        people = self.people[room]
        learner = people.pop(user_id)
        for job in self.teaching:
            if job.ref.room == room and job.learner and job.learner.identity == learner.identity:
                await self.finish(job)
        self._close_if_empty(room)

    def _close_if_empty(self, room: str) -> None:
        """Close a room in which nobody but agents is, unless one of them waits for its learner."""
        jobs = [job for job in self.jobs.values() if job.ref.room == room]
        waited_for = any(job.away_since is not None for job in jobs)
        if not waited_for and all(
            one.kind == "agent" for one in self.people.get(room, {}).values()
        ):
            for job in jobs:
                self._leave(job)
            self.people.pop(room, None)
            self.dispatches.pop(room, None)

    def send(self, room: str, dispatch: Dispatch) -> None:
        """Note a dispatch and send it on its way, unless it gets lost."""
        if room in self.people:
            self.dispatches.setdefault(room, []).append(dispatch)
            if not self.losing:
                self.offers.append((room, dispatch))

    async def deliver(self, first: str, *, again: bool = False) -> None:
        """Offer the oldest dispatch to one host and then to the others; it may come once more."""
        room, dispatch = self.offers[0] if again else self.offers.pop(0)
        tutor = NAMES[dispatch.agent_name]
        for _, host in sorted(self.hosts.items(), key=lambda it: it[0] != first):
            if room in self.people and tutor in host.tutors and host.capacity().fits(tutor):
                job = SimulatedJob(JobRef(f"job{next(self.numbers)}", room, tutor), host)
                self.jobs[job.ref.job_id] = job
                host.lessons.begin(job.ref)
                attributes = {TUTOR: tutor}
                self.people[room][job.agent] = Participant(
                    job.agent, "agent", tutor, attributes, False, self.now(), job.agent
                )
                await idle()
                return

    async def join(self, job: SimulatedJob) -> None:
        """Join the host that accepted a job, for the learner that the job sees first."""
        people = self.people[job.ref.room]
        learners = [one for one in people.values() if one.kind == "standard"]
        if not learners:
            self._leave(job)
            return
        job.joined = True
        seen = min(learners, key=lambda one: one.joined_at).identity
        job.host.create_task(job.host.lessons.serve(job.link))  # type: ignore[arg-type]  # a fake
        job.send_to_host(Join(identity=seen))
        await idle()
        match job.link.sent[0]:
            case Welcome(learner=welcomed, called=called):
                job.calls = int(called)
                job.learner, job.since = people[welcomed.identity], self.now()
                entry = (job.ref.room, job.learner.sid, job.ref.tutor)
                assert entry not in self.given_up, "taught after a crash loop"
            case Refused(cause=cause):
                if cause != ALREADY_TAUGHT:
                    for entry in self._refused(job.ref.room, job.ref.tutor):
                        self.settle(job.ref.room, entry, job.ref.tutor, cause)
                self._leave(job)

    async def ask(self, job: SimulatedJob) -> None:
        """Call the specialist from a tutor."""
        job.calls += 1
        job.send_to_host(
            CallSpecialist(agent_name="grammar-expert", request=HandoffRequest(focus="articles"))
        )
        await idle()

    async def finish(self, job: SimulatedJob) -> None:
        """End a job's lesson regularly."""
        assert job.learner is not None
        job.send_to_host(Finish(ending=Ending(reason="done", seconds=0.0)))
        await idle()
        assert isinstance(job.link.sent[-1], Recorded)
        self.settle(job.ref.room, job.learner.sid, job.ref.tutor, "done")
        self._leave(job)

    def settle(self, room: str, entry: str, tutor: str, reason: str) -> None:
        """Note that a lesson ended or was refused in an entry."""
        self.over.add((room, entry, tutor))
        if reason == CRASH_LOOP:
            self.given_up.add((room, entry, tutor))

    async def crash(self, job: SimulatedJob) -> None:
        """Kill a job; its host notices, and LiveKit does not for a while."""
        self._keep_dead_agent(job)
        job.host.lessons.end(job.ref)
        if job.joined:
            job.send_to_host(None)
            await idle()
        self._close_if_empty(job.ref.room)

    async def disable(self, tutor: str) -> None:
        """Disable a tutor: its lessons say goodbye at once, jobs without a lesson go."""
        del self.tutors[tutor]
        for job in [job for job in self.jobs.values() if job.ref.tutor == tutor]:
            job.host.departures[job.ref.job_id] = Departure.within(0, "tutor_disabled")
            await job.host.lessons.announce_departure({job.ref.job_id})
            if job.learner is None:
                self._leave(job)
            else:
                await self.finish(job)

    def open(self) -> Sequence[Any]:
        """List the lessons that are not closed, as room and tutor."""
        found = self.database.execute("SELECT room, tutor FROM lesson WHERE closed_at IS NULL")
        return sorted((row["room"], row["tutor"]) for row in found.fetchall())

    def _refused(self, room: str, tutor: str) -> list[str]:
        """List the entries that were refused and that the cluster has not noted yet."""
        found = self.database.execute(
            "SELECT entry FROM refusal WHERE room = :room AND tutor = :tutor",
            {"room": room, "tutor": tutor},
        )
        entries = [row["entry"] for row in found.fetchall()]
        return [one for one in entries if (room, one, tutor) not in self.over]

    def _leave(self, job: SimulatedJob) -> None:
        del self.jobs[job.ref.job_id]
        if job.host.alive:
            job.host.lessons.end(job.ref)
        self.people.get(job.ref.room, {}).pop(job.agent, None)

    def _keep_dead_agent(self, job: SimulatedJob) -> None:
        del self.jobs[job.ref.job_id]
        self.dead_agents[job.ref.room, job.agent] = self.now() + DEAD_AGENT_SECONDS


def _is(job: SimulatedJob, room: str, user_id: str) -> bool:
    """Return whether a job teaches this learner in this room."""
    return job.ref.room == room and job.learner is not None and job.learner.identity == user_id


async def idle() -> None:
    """Run all callbacks that are due: virtual time passes only when none is."""
    await asyncio.sleep(0.001)
