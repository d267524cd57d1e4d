"""The reconciler in a model of rooms, learners, jobs and all that goes wrong with them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from loqua_host.lessons.board import CALL_SECONDS, JOIN_SECONDS, Board
from loqua_host.lessons.hosted import LINE, TUTOR, HostedTutor
from loqua_host.lessons.reconcile import Places
from loqua_host.lessons.reconciler import POLL_SECONDS, WAITING, Reconciler
from loqua_host.link.server import JobRef
from loqua_host.records.ledger import MAX_RESTARTS, Claims, LessonRow
from loqua_host.rooms.learners import Participant
from loqua_host.rooms.rooms import Dispatch

RETURN_GRACE = 30.0
GHOST_SECONDS = 20.0
"""How long LiveKit keeps a dead agent in its room."""

TUTORS = {
    "tutor": HostedTutor("tutor", "", "agent", 2),
    "grammar": HostedTutor("grammar", "grammar-expert", "agent", 1),
}
HOST_PLACES = 2

rooms = st.sampled_from(["one", "two", "three"])
users = st.sampled_from(["maria", "ana", "li"])


@dataclass
class Job:
    """A job from its acceptance to its end, and the lesson it teaches."""

    ref: JobRef
    lesson: LessonRow | None = None

    @property
    def agent(self) -> str:
        """Its identity in the room."""
        return f"agent-{self.ref.job_id}"


@dataclass
class World:
    """LiveKit's rooms, the ledger and the jobs of one host; time passes when it is told to.

    Attributes:
        offers: Dispatches under way to a worker.
        ghosts: Agents that are dead, with the time at which LiveKit drops them.
    """

    now: float = 1_800_000_000.0
    people: dict[str, dict[str, Participant]] = field(default_factory=dict)
    dispatches: dict[str, list[str]] = field(default_factory=dict)
    offers: list[tuple[str, str]] = field(default_factory=list)
    jobs: dict[str, Job] = field(default_factory=dict)
    ghosts: dict[tuple[str, str], float] = field(default_factory=dict)
    open: dict[str, LessonRow] = field(default_factory=dict)
    ended: set[tuple[str, str, str]] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    refused: set[tuple[str, str]] = field(default_factory=set)
    losing: bool = False
    elsewhere: Claims = field(default_factory=Claims)
    outrun: bool = False
    tutors: dict[str, HostedTutor] = field(default_factory=lambda: dict(TUTORS))
    numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        """Start the host."""
        self.board = Board(lambda: self.now)
        self.start()

    def start(self) -> None:
        """Start the host's reconciler on an empty board, as after a crash of the host."""
        self.board = Board(lambda: self.now)
        for row in self.open.values():
            self.board.on_interrupted(row, None)
        self.reconciler = Reconciler(
            rooms=self,  # type: ignore[arg-type]  # a fake
            ledger=self,  # type: ignore[arg-type]  # a fake
            board=self.board,
            tutors=self.tutors,
            places=self.places,
            see=lambda _room, _participants: None,
            close=self.close,
            return_grace=lambda: RETURN_GRACE,
            now=lambda: self.now,
        )

    def places(self) -> Places:
        """Count what is free."""
        busy = [job.ref.tutor for job in self.jobs.values()]
        free = {name: one.max_jobs - busy.count(name) for name, one in self.tutors.items()}
        return Places(HOST_PLACES - len(busy), free)

    async def close(self, row: LessonRow, _because: str) -> None:
        """Close a lesson in the ledger."""
        self.end(row)

    def end(self, row: LessonRow) -> None:
        """Write a lesson's end."""
        del self.open[row.id]
        self.ended.add((row.room, row.entry, row.tutor))

    async def settled_in(self, room: str) -> set[tuple[str, str]]:
        """Say whose lessons ended in a room."""
        return {(entry, tutor) for where, entry, tutor in self.ended if where == room}

    async def claims_in(self, _room: str) -> Claims:
        """Say what other hosts do."""
        return self.elsewhere

    async def claim(self, _room: str, _tutor: str, _seconds: float) -> bool:
        """Let this host have it, unless another was faster."""
        return not self.outrun

    async def names(self) -> set[str]:
        """List the rooms."""
        return set(self.people)

    async def participants(self, room: str) -> list[Participant]:
        """List who is in a room."""
        return list(self.people.get(room, {}).values())

    async def dispatched(self, room: str) -> list[Dispatch]:
        """List whom a room's dispatches call."""
        return [Dispatch(name) for name in self.dispatches.get(room, [])]

    async def dispatch(self, room: str, dispatch: Dispatch) -> None:
        """Dispatch for the host, which owes it to somebody; LiveKit may lose it."""
        agent_name = dispatch.agent_name
        tutor = next(name for name, one in TUTORS.items() if one.agent_name == agent_name)
        called = self.board._called[room, tutor].identity
        one = self.people[room][called or ""]
        user_id = one.attributes["user_id"]
        if not any(it.row.user_id == user_id for it in self.board.interrupted(room)):
            assert (room, one.sid, tutor) not in self.ended, "called again after the end"
            assert (one.sid, tutor) not in self.refused, "called again after a refusal"
        self.send(room, tutor)

    async def withdraw(self, room: str, agent_name: str) -> list[Dispatch]:
        """Take dispatches back."""
        before = self.dispatches.get(room, [])
        self.dispatches[room] = [name for name in before if name != agent_name]
        return [Dispatch(name) for name in before if name == agent_name]

    async def remove(self, room: str, identity: str) -> None:
        """Remove a participant."""
        self.people.get(room, {}).pop(identity, None)
        self.ghosts.pop((room, identity), None)

    async def mark(self, room: str, identity: str, name: str, value: str) -> None:
        """Set an attribute."""
        if one := self.people.get(room, {}).get(identity):
            self.people[room][identity] = replace(one, attributes={**one.attributes, name: value})

    def send(self, room: str, tutor: str) -> None:
        """Note a dispatch and send it on its way, unless it gets lost."""
        if room not in self.people:
            return
        self.dispatches.setdefault(room, []).append(TUTORS[tutor].agent_name)
        if not self.losing:
            self.offers.append((room, tutor))

    def deliver(self) -> None:
        """Offer the oldest dispatch to the worker, who takes it if there is a place."""
        room, tutor = self.offers.pop(0)
        places = self.places()
        if room not in self.people or not places.has(tutor):
            return
        job = Job(JobRef(f"job{next(self.numbers)}", room, tutor))
        self.jobs[job.ref.job_id] = job
        self.board.on_accepted(job.ref)
        self.people[room][job.agent] = Participant(
            job.agent, "agent", tutor, {TUTOR: tutor}, False, self.now, job.agent
        )

    def join(self, job: Job) -> None:
        """Let a job join, as lessons open, resume and refuse."""
        learners = [one for one in self.people[job.ref.room].values() if one.kind == "standard"]
        if not learners:
            self.leave(job)
            return
        first = min(learners, key=lambda one: one.joined_at)
        identity = self.board.meant(job.ref) or first.identity
        learner = self.people[job.ref.room].get(identity)
        user_id = learner.attributes["user_id"] if learner else ""
        if learner is None or job.ref.tutor in self.board.taught(job.ref.room):
            self.board.on_settled(job.ref, None)
            self.leave(job)
        elif user_id in self.refusing:
            self.refused.add((learner.sid, job.ref.tutor))
            self.board.on_settled(job.ref, learner.sid)
            self.leave(job)
        else:
            self.teach(job, learner)

    def teach(self, job: Job, learner: Participant) -> None:
        """Open a lesson or go on with the one that was interrupted."""
        room, tutor, user_id = job.ref.room, job.ref.tutor, learner.attributes["user_id"]
        lost = [one.row for one in self.board.interrupted(room)]
        row = next((it for it in lost if (it.user_id, it.tutor) == (user_id, tutor)), None)
        if row is None:
            number = f"lesson{next(self.numbers)}"
            row = LessonRow(number, number, "v", user_id, room, tutor, "agent", self.now)
            row = replace(row, entry=learner.sid)
        elif row.restarts >= MAX_RESTARTS:
            self.board.on_resumed(row)
            self.end(row)
            self.refused.add((learner.sid, tutor))
            self.board.on_settled(job.ref, learner.sid)
            self.leave(job)
            return
        else:
            row = replace(row, restarts=row.restarts + 1, entry=learner.sid)
        job.lesson = self.open[row.id] = row
        self.board.on_resumed(row)
        self.board.on_taught(job.ref)

    def leave(self, job: Job) -> None:
        """End a job."""
        del self.jobs[job.ref.job_id]
        self.people[job.ref.room].pop(job.agent, None)

    def finish(self, job: Job) -> None:
        """End a lesson politely."""
        assert job.lesson is not None
        self.end(job.lesson)
        self.board.on_over(job.ref)
        self.leave(job)

    def disable(self, tutor: str) -> None:
        """Disable a tutor: its lessons end for the host's sake, which settles nothing."""
        del self.tutors[tutor]
        for job in [job for job in self.jobs.values() if job.ref.tutor == tutor]:
            if job.lesson is None:
                self.leave(job)
            else:
                self.open[job.lesson.id] = job.lesson = replace(job.lesson, entry="")
                self.finish(job)

    def crash(self, job: Job) -> None:
        """Kill a job; LiveKit does not notice for a while."""
        del self.jobs[job.ref.job_id]
        self.ghosts[job.ref.room, job.agent] = self.now + GHOST_SECONDS
        if job.lesson is not None:
            self.board.on_over(job.ref)
            self.board.on_interrupted(job.lesson, job.agent)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and LiveKit drop the dead."""
        self.now += seconds
        for (room, agent), at in list(self.ghosts.items()):
            if at <= self.now:
                del self.ghosts[room, agent]
                self.people.get(room, {}).pop(agent, None)


class RoomsAndLearners(RuleBasedStateMachine):
    """Learners come and go, jobs teach and crash, dispatches get lost, the host restarts.

    Whatever happened: once nothing more goes wrong, each who is owed a tutor is taught in turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.runner = asyncio.Runner()

    def teardown(self) -> None:
        """See that all are served once the faults are over."""
        try:
            self._settle()
        finally:
            self.runner.close()

    @initialize()
    def opens(self) -> None:
        """Somebody is there when it begins."""
        for room, user_id in (("one", "maria"), ("two", "ana"), ("three", "li")):
            self._enter(room, user_id)

    @rule(room=rooms, user_id=users)
    def comes_or_goes(self, room: str, user_id: str) -> None:
        """A learner enters a room or leaves it."""
        if user_id in self.world.people.get(room, {}):
            self._leave(room, user_id)
        else:
            self._enter(room, user_id)

    @rule(room=rooms)
    def calls_specialist(self, room: str) -> None:
        """Somebody else dispatches the specialist."""
        self.world.send(room, "grammar")

    @rule()
    def goes_well(self) -> None:
        """For a while everything does what it should."""
        self._quiet(2 * POLL_SECONDS)

    @rule(data=st.data())
    def delivers_or_joins(self, data: st.DataObject) -> None:
        """LiveKit offers a job, or one that was accepted joins."""
        waiting = [job for job in self.world.jobs.values() if job.lesson is None]
        if self.world.offers and (not waiting or data.draw(st.booleans())):
            self.world.deliver()
        elif waiting:
            self.world.join(data.draw(st.sampled_from(waiting)))

    @precondition(lambda self: self.world.jobs)
    @rule(data=st.data(), crash=st.booleans())
    def job_ends(self, data: st.DataObject, crash: bool) -> None:
        """A job dies at any moment, or its tutor ends the lesson and the learner stays."""
        job = data.draw(st.sampled_from(list(self.world.jobs.values())))
        if crash:
            self.world.crash(job)
        elif job.lesson is not None:
            self.world.finish(job)

    @rule(losing=st.booleans(), refusing=st.sets(users, max_size=1))
    def troubles(self, losing: bool, refusing: set[str]) -> None:
        """LiveKit loses dispatches from now on, the API refuses learners; or no longer."""
        self.world.losing, self.world.refusing = losing, refusing

    @rule(tutor=st.sampled_from(sorted(TUTORS)))
    def is_enabled_or_disabled(self, tutor: str) -> None:
        """A tutor is disabled in the running host, or enabled again."""
        if tutor in self.world.tutors:
            self.world.disable(tutor)
        else:
            self.world.tutors[tutor] = TUTORS[tutor]

    @rule(lingering=st.booleans())
    def host_restarts(self, lingering: bool) -> None:
        """The host is killed and started again; its jobs leave, or die without a word."""
        for job in list(self.world.jobs.values()):
            if lingering:
                self.world.ghosts[job.ref.room, job.agent] = self.world.now + GHOST_SECONDS
                del self.world.jobs[job.ref.job_id]
            else:
                self.world.leave(job)
        self.world.refused.clear()
        self.world.start()

    @rule(seconds=st.sampled_from([0.0, 1.0, POLL_SECONDS, 5.0, 40.0]))
    def looks(self, seconds: float) -> None:
        """Time passes and the reconciler looks."""
        self.world.pass_time(seconds)
        self.runner.run(self.world.reconciler.look())

    @invariant()
    def only_one_of_a_kind(self) -> None:
        """No learner has two tutors of a kind, nor a room."""
        teaching = [(job.ref.room, job.ref.tutor) for job in self._teaching()]
        assert len(teaching) == len(set(teaching))

    @invariant()
    def no_place_is_given_twice(self) -> None:
        """Neither in the host nor for a tutor."""
        assert len(self.world.jobs) <= HOST_PLACES

    def _enter(self, room: str, user_id: str) -> None:
        """Let a learner enter; LiveKit sends the automatic tutor to a new room."""
        new = room not in self.world.people
        people = self.world.people.setdefault(room, {})
        entry = f"PA_{next(self.world.numbers)}"
        people[user_id] = Participant(
            user_id, "standard", "", {"user_id": user_id}, False, self.world.now, entry
        )
        if new:
            self.world.send(room, "tutor")

    def _leave(self, room: str, user_id: str) -> None:
        """Let a learner leave; the job teaching them finishes, an empty room closes."""
        people = self.world.people[room]
        del people[user_id]
        for job in self._teaching():
            if (job.ref.room, job.lesson and job.lesson.user_id) == (room, user_id):
                self.world.finish(job)
        if all(one.kind == "agent" for one in people.values()):
            for job in [one for one in self.world.jobs.values() if one.ref.room == room]:
                self.world.leave(job)
            del self.world.people[room], self.world.dispatches[room]

    def _teaching(self) -> list[Job]:
        return [job for job in self.world.jobs.values() if job.lesson is not None]

    def _settle(self) -> None:
        """Let nothing more go wrong; lessons end in turn when others wait."""
        world = self.world
        world.losing = False
        world.refusing.clear()
        world.tutors |= TUTORS
        for _ in range(40):
            self._quiet(CALL_SECONDS + JOIN_SECONDS + RETURN_GRACE)
            if not self._alone() and not world.board.interrupted_rooms():
                break
            assert self._teaching(), f"nobody is taught, yet waiting: {self._alone()}"
            self.world.finish(self._teaching()[0])
        assert not self._alone()
        taught = {job.lesson.id for job in self._teaching() if job.lesson}
        assert set(world.open) == taught, "a lesson is neither taught nor closed"
        told = [one for room in world.people.values() for one in room.values()]
        assert not [one.identity for one in told if one.attributes.get(WAITING)]

    def _quiet(self, seconds: float) -> None:
        end = self.world.now + seconds
        while self.world.now < end:
            self.looks(POLL_SECONDS)
            while self.world.offers:
                self.world.deliver()
            for job in [job for job in self.world.jobs.values() if job.lesson is None]:
                self.world.join(job)
            self.only_one_of_a_kind()

    def _alone(self) -> list[tuple[str, str, str]]:
        """List who is owed a tutor and has none."""
        world = self.world
        alone = []
        for room, people in world.people.items():
            teaching = {job.ref.tutor for job in self._teaching() if job.ref.room == room}
            wanted = {name for name, t in TUTORS.items() if t.agent_name in world.dispatches[room]}
            for tutor in wanted - teaching:
                alone += [
                    (room, one.identity, tutor)
                    for one in people.values()
                    if one.kind == "standard"
                    and (room, one.sid, tutor) not in world.ended
                    and (one.sid, tutor) not in world.refused
                ]
        return alone


TestRoomsAndLearners = RoomsAndLearners.TestCase
TestRoomsAndLearners.settings = hypothesis.settings(
    max_examples=150, stateful_step_count=30, deadline=None
)


def test_the_bound_on_restarts_is_reached_by_crashes_alone() -> None:
    """A model in which nothing crashes more often would prove little."""
    world = World()
    world.people["one"] = {}
    row = LessonRow("l", "l", "v", "maria", "one", "tutor", "agent", world.now, entry="PA")
    world.open["l"] = row
    world.board.on_interrupted(replace(row, restarts=MAX_RESTARTS), None)
    asyncio.run(world.reconciler.look())
    assert not world.open


async def test_who_has_left_for_good_is_forgotten() -> None:
    """A host that runs for months sees very many learners."""
    world = World()
    maria = Participant(
        identity="maria",
        kind="standard",
        name="Maria",
        attributes={"user_id": "maria"},
        writes_own_attributes=False,
        joined_at=world.now,
        sid="PA_1",
    )
    world.people["one"] = {"maria": maria}
    await world.reconciler.look()
    assert list(world.reconciler._seen) == ["PA_1"]
    world.people["one"] = {}
    await world.reconciler.look()
    assert world.reconciler._seen == {}


async def test_a_tutor_that_was_disabled_since_the_decision_is_not_called() -> None:
    """The reconciler asks LiveKit meanwhile, and goes on afterwards."""
    world = World()
    maria = Participant(
        identity="maria",
        kind="standard",
        name="Maria",
        attributes={"user_id": "maria"},
        writes_own_attributes=False,
        joined_at=world.now,
        sid="PA_1",
    )
    world.people["one"] = {"maria": maria}
    row = LessonRow("l", "l", "v", "maria", "one", "tutor", "agent", world.now, entry="PA_1")
    world.board.on_interrupted(row, None)
    before = world.places()
    world.reconciler._places = lambda: before  # as it was when it decided
    world.tutors.clear()
    await world.reconciler.look()
    assert (world.offers, world.board.called("one")) == ([], frozenset())


async def test_who_finds_every_place_taken_is_told_by_a_voice_where_there_is_one() -> None:
    """Once, by a dispatch that is no call for a tutor."""
    world = World()
    maria = Participant(
        identity="maria",
        kind="standard",
        name="Maria",
        attributes={"user_id": "maria"},
        writes_own_attributes=False,
        joined_at=world.now,
        sid="PA_1",
    )
    world.people["one"] = {"maria": maria}
    world.dispatches["one"] = [""]
    world.tutors["tutor"] = replace(world.tutors["tutor"], says_line=True)
    said: list[tuple[str, Dispatch]] = []

    async def dispatch(room: str, dispatch: Dispatch) -> None:
        said.append((room, dispatch))

    world.dispatch = dispatch  # type: ignore[method-assign]  # heard instead of sent
    world.reconciler._places = lambda: Places(0, {"tutor": 0, "grammar": 0})
    for _ in range(3):
        await world.reconciler.look()
        world.pass_time(5.0)
    assert said == [("one", Dispatch("", LINE))]
    assert world.people["one"]["maria"].attributes[WAITING] == "true"
    assert world.board.called("one") == frozenset()


@pytest.mark.parametrize(
    ("elsewhere", "outrun"),
    [
        (Claims(taught=frozenset({"tutor"})), False),
        (Claims(called=frozenset({"tutor"})), False),
        (Claims(), True),
    ],
    ids=["taught", "called", "outrun"],
)
async def test_whom_another_host_teaches_or_calls_for_is_not_called_for(
    elsewhere: Claims, outrun: bool
) -> None:
    """Until that host is dead, or its call has come to nothing."""
    world = World(elsewhere=elsewhere, outrun=outrun)
    learner = {"attributes": {"user_id": "maria"}, "writes_own_attributes": False, "sid": "PA_1"}
    maria = Participant(identity="m", kind="standard", name="M", joined_at=world.now, **learner)
    world.people["one"] = {"m": maria}
    row = LessonRow("l", "l", "v", "maria", "one", "tutor", "agent", world.now, entry="PA_1")
    world.open["l"] = row
    world.board.on_interrupted(row, None)
    await world.reconciler.look()
    assert (world.offers, world.board.called("one")) == ([], frozenset())
    world.elsewhere, world.outrun = Claims(), False
    await world.reconciler.look()
    assert world.offers == [("one", "tutor")]
