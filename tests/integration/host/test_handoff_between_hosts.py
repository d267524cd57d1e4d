"""A handoff to a specialist on another host, with crashes of either host."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from tests.bench.cluster import AUTOMATIC, HostCluster, Member, run_cluster
from tests.integration.host.conftest import Deployment, SilentLearner, explicit, new_room

from loqua_host.dev.postgres import PostgresUnavailableError

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

SPECIALIST = "probe-specialist"
MADE = [{"words_learned": 30}]


@dataclass(frozen=True, slots=True)
class TwoHosts:
    """Two hosts: one has the automatic tutor, the other the specialist."""

    cluster: HostCluster

    @property
    def caller(self) -> Member:
        """The host of the automatic tutor."""
        return self.cluster.members[0]

    @property
    def called(self) -> Member:
        """The host of the specialist."""
        return self.cluster.members[1]

    def script(self, room: str, **specialist: object) -> None:
        """Write a script in which the tutor calls the specialist, who makes progress."""
        self.caller.running.script(room, calls=SPECIALIST)
        self.end(room, **specialist)

    def end(self, room: str, **specialist: object) -> None:
        """Change what the specialist does."""
        lines = {"progress": MADE, **specialist}
        self.called.running.script(room, tutor=SPECIALIST, **lines)

    async def one_record_each(self, learner: SilentLearner) -> None:
        """Check that both lessons of a learner who has left have one record each."""
        api = self.cluster.deployments[0].api
        await api.until("sessions", learner.user_id, count=2)
        records = await api.arrivals("sessions", learner.user_id)
        visit = learner.session_id
        assert sorted(it["payload"]["sessionId"] for it in records) == [
            visit,
            f"{visit}.{SPECIALIST}",
        ]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hosts(deployment: Deployment) -> AsyncIterator[TwoHosts]:
    """Yield the hosts on one LiveKit server and one ledger in Postgres."""
    try:
        async with run_cluster(
            2, 1, (AUTOMATIC, explicit(SPECIALIST)), warm=deployment.warm
        ) as cluster:
            yield TwoHosts(cluster)
    except PostgresUnavailableError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("crash", [{}, {"killed_at": 1}], ids=["lives", "crashes once"])
async def test_the_report_of_a_specialist_on_another_host_returns(
    hosts: TwoHosts, crash: dict[str, object]
) -> None:
    """Also if its job crashes on the way and resumes."""
    room = new_room()
    hosts.script(room, **crash)
    async with hosts.cluster.deployments[0].visit(room) as learner:
        handover = await hosts.called.running.log.until("probe.handed_over", room=room)
        assert (handover["tutor"], handover["focus"], handover["words"]) == (
            "probe",
            "r",
            ["perro"],
        )
        if crash:
            await hosts.called.running.log.until("lesson.resumed", room=room)
        who = learner.user_id
        await hosts.called.running.log.until("progress.made", user_id=who, words=30)
        hosts.end(room, ends_at=1)
        back = await hosts.caller.running.log.until("probe.handed_back", room=room)
        assert (back["outcome"], back["words"]) == ("taught", 30)
        await learner.met(1)
    await hosts.one_record_each(learner)


async def test_a_caller_whose_host_is_killed_meanwhile_gets_the_report_when_it_resumes(
    hosts: TwoHosts,
) -> None:
    """The learner is with the specialist until then, and greeted afterwards."""
    room = new_room()
    hosts.script(room)
    async with hosts.cluster.deployments[0].visit(room) as learner:
        await hosts.called.running.log.until("probe.handed_over", room=room)
        hosts.caller.kill()
        await hosts.caller.stop()
        await hosts.caller.start()
        await hosts.caller.running.log.until("lesson.resumed", room=room)
        assert not hosts.caller.running.log.find("probe.ready", room=room)
        hosts.end(room, ends_at=1)
        ready = await hosts.caller.running.log.until("probe.ready", room=room)
        assert ready["handback"] == "taught"
        await learner.met(1)
    await hosts.one_record_each(learner)


async def test_a_caller_goes_on_when_the_only_host_of_its_specialist_is_killed(
    hosts: TwoHosts,
) -> None:
    """Once LiveKit has dropped the specialist; the host that returns gives it a record."""
    room = new_room()
    hosts.script(room)
    async with hosts.cluster.deployments[0].visit(room) as learner:
        await hosts.called.running.log.until("probe.handed_over", room=room)
        hosts.called.kill()
        back = await hosts.caller.running.log.until("probe.handed_back", room=room, patience=60)
        assert back["outcome"] == "failed"
        await hosts.caller.running.log.until("lesson.floor_taken_back", room=room)
        unknown = new_room()
        hosts.caller.running.script(unknown, calls=SPECIALIST)
        async with hosts.cluster.deployments[0].visit(unknown):
            refused = await hosts.caller.running.log.until("probe.not_handed_over", room=unknown)
            assert "there are: none" in refused["why"]
        await hosts.called.stop()
        await hosts.called.start()
    await hosts.one_record_each(learner)
