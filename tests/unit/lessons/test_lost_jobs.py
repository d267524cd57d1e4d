"""Accepted jobs that never join, whose learners get another tutor."""

import asyncio

import pytest
import structlog
from tests.unit.lessons.cluster import SimulatedCluster, SimulatedHost, SimulatedJob, idle

from loqua_host.lessons.decisions import DISPATCH_GRACE
from loqua_host.lessons.dispatch_state import JOIN_SECONDS
from loqua_host.lessons.reconciler import POLL_SECONDS
from loqua_host.link.server import JobRef
from loqua_host.testing.virtual_time import VirtualLoop

LOOP = VirtualLoop


@pytest.fixture
async def cluster() -> SimulatedCluster:
    """Return a room with a learner, to whom the tutor of a host is on its way."""
    cluster = SimulatedCluster()
    await cluster.start("east")
    cluster.enter("one", "maria")
    await cluster.deliver("east")
    return cluster


@pytest.fixture
def host(cluster: SimulatedCluster) -> SimulatedHost:
    """Return the host."""
    return cluster.hosts["east"]


def accepted(cluster: SimulatedCluster) -> SimulatedJob:
    """Return the one job that there is."""
    [job] = cluster.jobs.values()
    return job


async def look_for(host: SimulatedHost, seconds: float) -> None:
    """Run a host's reconciler for a while."""
    for _ in range(round(seconds / POLL_SECONDS)):
        await host.reconciler.look()
        await asyncio.sleep(POLL_SECONDS)


async def test_a_learner_whose_job_dies_before_it_joins_gets_another_at_once(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """Not when it ought to have joined: its process is the host's own (livekit/livekit#4374)."""
    await look_for(host, DISPATCH_GRACE + POLL_SECONDS)
    assert cluster.offers == []
    host.dispatch_state.changed.clear()
    with structlog.testing.capture_logs() as logs:
        await cluster.crash(accepted(cluster))
    assert [line["event"] for line in logs if line["event"] == "job.lost"]
    assert host.dispatch_state.changed.is_set()
    await host.reconciler.look()
    await cluster.deliver("east")
    await cluster.join(accepted(cluster))
    assert cluster.teaching


async def test_a_learner_whose_jobs_all_die_costs_no_storm_of_jobs(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """A process that cannot live is started twice in the time that one has to join."""
    begun = 1
    for _ in range(round(3 * JOIN_SECONDS / POLL_SECONDS)):
        for job in list(cluster.jobs.values()):
            await cluster.crash(job)
        await look_for(host, POLL_SECONDS)
        while cluster.offers:
            await cluster.deliver("east")
            begun += 1
    assert 3 < begun <= 8


async def test_a_job_that_lives_and_does_not_join_is_waited_for(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """For so long and no longer (livekit/livekit#4374)."""
    cluster.people["one"].pop(accepted(cluster).agent)  # It never got into the room.
    await look_for(host, JOIN_SECONDS - POLL_SECONDS)
    assert cluster.offers == []
    await look_for(host, 2 * POLL_SECONDS)
    assert [room for room, _ in cluster.offers] == ["one"]


async def test_a_learner_whose_job_no_worker_takes_gets_another(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """LiveKit tells nobody and does not try again (livekit/livekit#3857)."""
    cluster.losing = True
    cluster.enter("two", "ana")
    await look_for(host, DISPATCH_GRACE + 2 * POLL_SECONDS)
    cluster.losing = False
    await look_for(host, 2 * POLL_SECONDS)
    assert ("two", "") in [(room, one.agent_name) for room, one in cluster.offers]


async def test_a_learner_is_dispatched_a_tutor_again_and_again_while_a_host_does_not_answer(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """LiveKit may choose a frozen host several times; of the dispatches in a row, one stays."""
    cluster.losing = True
    cluster.enter("two", "ana")
    running = asyncio.create_task(host.reconciler.run())
    with structlog.testing.capture_logs() as logs:
        await asyncio.sleep(12)
    running.cancel()
    calls = [line for line in logs if line["event"] == "tutor.called" and line["room"] == "two"]
    assert len(calls) >= 4
    assert len(cluster.dispatches["two"]) == 1


async def test_a_job_that_had_its_lesson_is_no_loss(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """Its learner is taught, or has been; and a job that comes late is not the one that died."""
    job = accepted(cluster)
    await cluster.join(job)
    with structlog.testing.capture_logs() as logs:
        host.lessons.end(job.ref)
    assert logs == []
    assert host.dispatch_state.taught("one") == {"tutor"}


async def test_of_two_jobs_for_one_room_the_end_of_the_first_calls_no_third(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """The second is on its way."""
    first = accepted(cluster).ref
    second = JobRef("second", "one", "tutor")
    host.lessons.begin(second)
    host.lessons.end(first)
    await idle()
    assert host.dispatch_state.called("one") == {"tutor"}
    host.lessons.end(second)
    assert host.dispatch_state.called("one") == frozenset()
