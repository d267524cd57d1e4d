"""Hosts that share a ledger, in a model of all faults of rooms, learners and jobs."""

import asyncio
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any

import hypothesis
import pytest
import structlog
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from tests.unit.lessons.cluster import TUTORS, SimulatedCluster, SimulatedJob

from loqua_host.contract.handoff import Handback
from loqua_host.contract.records import LessonReport
from loqua_host.lessons.handoffs import COME_SECONDS
from loqua_host.lessons.reconciler import POLL_SECONDS, WAITING
from loqua_host.link.dispatch_metadata import is_handover
from loqua_host.link.messages import HandoffRefused
from loqua_host.records.ledger import MAX_CRASHES
from loqua_host.rooms.rooms import Dispatch
from loqua_host.testing.virtual_time import VirtualLoop

LONGEST = 120.0
"""Seconds without faults after which every learner is served and every record delivered: leases and
calls expire, dead tutors leave their rooms, learners are given up."""

TAUGHT = Handback(outcome="taught", report=LessonReport())

rooms = st.sampled_from(["one", "two", "three"])
users = st.sampled_from(["maria", "ana", "li"])
hosts = st.sampled_from(["east", "west"])


class RoomsAndLearners(RuleBasedStateMachine):
    """Learners come and go, jobs run and crash, dispatches get lost, hosts die and restart.

    Once the faults end, each learner without a tutor is taught in turn, and each tutor that called
    a specialist has the result.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.logs = self.stack.enter_context(structlog.testing.capture_logs())
        self.runner = self.stack.enter_context(asyncio.Runner(loop_factory=VirtualLoop))
        self.cluster = self.run(_new_world())

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run one action."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Check that all are served once the faults are over."""
        with self.stack:
            self.run(self._settle())
            self.nothing_goes_wrong_unforeseen()

    @initialize(both=st.booleans(), but=st.sampled_from([None, "grammar"]))
    def opens(self, both: bool, but: str | None) -> None:
        """Start with a learner; the specialist may run on only one host."""
        for name in ("east", "west")[: 1 + both]:
            self.run(self.cluster.start(name, but if name == "east" and both else None))
        for room, user_id in (("one", "maria"), ("two", "ana"), ("three", "li")):
            self.cluster.enter(room, user_id)

    @rule(room=rooms, user_id=users)
    def comes_or_goes(self, room: str, user_id: str) -> None:
        """A learner enters a room or leaves it."""
        if user_id in self.cluster.people.get(room, {}):
            self.run(self.cluster.leave_room(room, user_id))
        else:
            self.cluster.enter(room, user_id)

    @rule(data=st.data(), quiet=st.booleans(), returns=st.booleans())
    def slips_away(self, data: st.DataObject, quiet: bool, returns: bool) -> None:
        """A learner leaves whose tutor waits for them to return, as long as nobody else waits."""
        if quiet:
            self.run(self._quiet(3 * POLL_SECONDS))
        here = [job for job in self.cluster.teaching if job.away_since is None]
        if here:
            job = data.draw(st.sampled_from(here))
            assert job.learner is not None
            room, user_id = job.ref.room, job.learner.identity
            self.run(self.cluster.disconnect(room, user_id))
            if quiet:
                self.run(self._quiet(3 * POLL_SECONDS))
            if returns:
                self.cluster.enter(room, user_id)

    @rule(room=rooms)
    def calls_specialist(self, room: str) -> None:
        """Somebody else dispatches the specialist."""
        self.cluster.send(room, Dispatch("grammar-expert"))

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def tutor_calls_specialist(self, data: st.DataObject) -> None:
        """A tutor calls the specialist to its learner, and gives the floor away."""
        self.run(self.cluster.ask(data.draw(st.sampled_from(self.callers))))

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def hands_off(self, data: st.DataObject) -> None:
        """A tutor calls the specialist, who comes in time if at all, and hands back."""
        caller = data.draw(st.sampled_from(self.callers))
        self.run(self.cluster.ask(caller))
        soon = self.cluster.now() + COME_SECONDS - 2 * POLL_SECONDS
        self.run(self._quiet(COME_SECONDS + POLL_SECONDS))
        specialist = self._specialist(caller)
        if caller in self.cluster.teaching and specialist and specialist.since <= soon:
            refused = not caller.waits and isinstance(caller.answers[-1], HandoffRefused)
            assert caller.waits or refused, "its specialist is here, and it hears otherwise"
            self.run(self.cluster.finish(specialist))
            self.run(self._quiet(2 * POLL_SECONDS))
            assert refused or caller.answers[-1].handback == TAUGHT

    @rule()
    def goes_well(self) -> None:
        """For a while everything does what it should."""
        self.run(self._quiet(2 * POLL_SECONDS))

    @rule(data=st.data(), host=hosts)
    def delivers_or_joins(self, data: st.DataObject, host: str) -> None:
        """LiveKit offers a job, once or twice, or one that was accepted joins."""
        waiting = [job for job in self.cluster.jobs.values() if not job.joined]
        if self.cluster.offers and (not waiting or data.draw(st.booleans())):
            self.run(self.cluster.deliver(host, again=data.draw(st.integers(0, 4)) == 0))
        elif waiting:
            self.run(self.cluster.join(data.draw(st.sampled_from(waiting))))

    @precondition(lambda self: self.cluster.jobs)
    @rule(data=st.data(), crash=st.booleans())
    def job_ends(self, data: st.DataObject, crash: bool) -> None:
        """A job dies at any moment, or its tutor ends the lesson and the learner stays."""
        job = data.draw(st.sampled_from(list(self.cluster.jobs.values())))
        if crash:
            self.run(self.cluster.crash(job))
        elif job.learner is not None:
            self.run(self.cluster.finish(job))

    @precondition(lambda self: self.cluster.teaching)
    @rule(data=st.data())
    def keeps_crashing(self, data: st.DataObject) -> None:
        """A tutor crashes whenever it is brought back, until it is not any more."""
        one = data.draw(st.sampled_from(self.cluster.teaching)).ref
        for _ in range(MAX_CRASHES):
            for job in self.cluster.teaching:
                if (job.ref.room, job.ref.tutor) == (one.room, one.tutor):
                    self.run(self.cluster.crash(job))
            self.run(self._quiet(2 * POLL_SECONDS))

    @rule(losing=st.booleans(), refusing=st.sets(users, max_size=1))
    def troubles(self, losing: bool, refusing: set[str]) -> None:
        """LiveKit loses dispatches from now on, the API refuses learners; or no longer."""
        self.cluster.losing, self.cluster.refusing = losing, refusing

    @rule(tutor=st.sampled_from(sorted(TUTORS)))
    def is_enabled_or_disabled(self, tutor: str) -> None:
        """A tutor is disabled in the running hosts, or enabled again."""
        if tutor in self.cluster.tutors:
            self.run(self.cluster.disable(tutor))
        else:
            self.cluster.tutors[tutor] = TUTORS[tutor]

    @rule(name=hosts, agents_stay=st.booleans(), again=st.booleans())
    def host_dies_or_starts(self, name: str, agents_stay: bool, again: bool) -> None:
        """A host is killed, and may be started again at once or later, or for the first time."""
        if name in self.cluster.hosts:
            self.run(self.cluster.kill(name, agents_stay=agents_stay))
        else:
            again = True
        if again:
            self.run(self.cluster.start(name))

    @rule(name=hosts)
    def host_stops(self, name: str) -> None:
        """A host gets SIGTERM; after a second one, it is gone at once."""
        host = self.cluster.hosts.get(name)
        if host is not None:
            self.run(
                self.cluster.end(name) if host.dispatch_state.leaving else self.cluster.stop(name)
            )

    @rule(seconds=st.sampled_from([0.0, 1.0, POLL_SECONDS, 5.0, 40.0]))
    def looks(self, seconds: float) -> None:
        """Time passes and the hosts look."""
        self.run(self._look(seconds))

    @rule(hours=st.sampled_from([-24, -1, 1, 24]))
    def clock_is_set(self, hours: float) -> None:
        """Somebody sets the clock of the ledger's database."""
        self.cluster.set_clock(hours * 3600)

    @invariant()
    def only_one_of_a_kind(self) -> None:
        """No learner has two tutors of a kind, nor a room."""
        teaching = [(job.ref.room, job.ref.tutor) for job in self.cluster.teaching]
        assert len(teaching) == len(set(teaching))

    @invariant()
    def nothing_goes_wrong_unforeseen(self) -> None:
        """Fail if a host has caught an error, which includes assertions of the cluster."""
        assert [line for line in self.logs if line["event"] == "error.caught"] == []

    @property
    def callers(self) -> list[SimulatedJob]:
        """The tutors that could call a specialist."""
        return [job for job in self.cluster.teaching if job.ref.tutor == "tutor" and not job.waits]

    async def _look(self, seconds: float) -> None:
        await self.cluster.pass_time(seconds)
        await self.cluster.look()
        await self.cluster.answer_hosts()

    async def _quiet(self, seconds: float) -> None:
        cluster, end = self.cluster, self.cluster.now() + seconds
        while cluster.now() < end:
            await self._look(POLL_SECONDS)
            while cluster.offers:
                await cluster.deliver(("east", "west")[next(cluster.numbers) % 2])
            for job in [job for job in cluster.jobs.values() if not job.joined]:
                await cluster.join(job)
            self.only_one_of_a_kind()

    async def _settle(self) -> None:
        """Cause no more faults; lessons end in turn when others wait."""
        cluster = self.cluster
        cluster.losing = False
        cluster.refusing.clear()
        cluster.tutors |= TUTORS
        for name in [name for name, host in cluster.hosts.items() if host.dispatch_state.leaving]:
            await cluster.end(name)
        if not TUTORS.keys() <= {it for host in cluster.hosts.values() for it in host.tutors}:
            await cluster.start("west")
        waited = 0.0
        while wanting := self._unmet():
            await self._quiet(5 * POLL_SECONDS)
            waited += 5 * POLL_SECONDS
            if waited >= LONGEST:
                assert cluster.teaching, f"nobody is taught: {wanting}"
                await cluster.finish(cluster.teaching[0])
                waited = 0.0

    def _unmet(self) -> list[object]:
        """List what is not yet as it should be."""
        cluster = self.cluster
        taught = sorted((job.ref.room, job.ref.tutor) for job in cluster.teaching)
        participants = [one for room in cluster.people.values() for one in room.values()]
        return [
            *self._alone(),
            *(() if taught == cluster.open() else [("open", taught, cluster.open())]),
            *(
                room
                for host in cluster.hosts.values()
                for room in host.dispatch_state.interrupted_rooms()
            ),
            *(job.ref for job in cluster.teaching if job.waits and not self._specialist(job)),
            *(one.identity for one in participants if one.attributes.get(WAITING)),
        ]

    def _specialist(self, caller: SimulatedJob) -> SimulatedJob | None:
        where = (caller.ref.room, "grammar")
        found = (job for job in self.cluster.teaching if (job.ref.room, job.ref.tutor) == where)
        return next(found, None)

    def _alone(self) -> list[tuple[str, str, str]]:
        """List the learners who should have a tutor and have none."""
        cluster = self.cluster
        alone = []
        for room, people in cluster.people.items():
            teaching = {job.ref.tutor for job in cluster.teaching if job.ref.room == room}
            wanted = {
                name
                for name, tutor in TUTORS.items()
                for one in cluster.dispatches.get(room, ())
                if one.agent_name == tutor.agent_name and not is_handover(one.metadata)
            }
            for tutor in wanted - teaching:
                alone += [
                    (room, one.identity, tutor)
                    for one in people.values()
                    if one.kind == "standard" and (room, one.sid, tutor) not in cluster.over
                ]
        return alone


async def _new_world() -> SimulatedCluster:
    return SimulatedCluster()


# A failing example is shrunk for 5 minutes at most; a timeout in between would look like flakiness.
TestRoomsAndLearners = pytest.mark.timeout(400)(RoomsAndLearners.TestCase)
TestRoomsAndLearners.settings = hypothesis.settings(
    max_examples=30, stateful_step_count=30, deadline=None
)
