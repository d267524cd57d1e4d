"""Two hosts with one ledger, in real rooms: either takes a lesson, and goes on with the other's."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.integration.host.conftest import (
    PATIENCE,
    Deployment,
    HostProcess,
    dev_api_for,
    explicit,
    new_room,
)

from loqua_host.dev.livekit import run_livekit
from loqua_host.dev.postgres import PostgresUnavailableError, run_postgres

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = "sharing"


@pytest.fixture
def ledger_url() -> Iterator[str]:
    """Yield the URL of a ledger's Postgres."""
    try:
        with run_postgres(durable=False) as url:
            yield url
    except PostgresUnavailableError as missing:
        pytest.skip(str(missing))


async def teaches(hosts: list[HostProcess], event: str, user_id: str) -> HostProcess:
    """Return the host that has told this event of a learner."""
    async with asyncio.timeout(2 * PATIENCE):
        while True:
            for host in hosts:
                if host.log.find(event, user_id=user_id):
                    return host
            await asyncio.sleep(0.1)  # two logs are watched


async def test_a_lesson_goes_on_at_the_other_host_when_one_is_killed(
    deployment: Deployment, ledger_url: str, tmp_path: Path
) -> None:
    """One lesson, one record; the learner has no two tutors, and the one that is left counts on."""
    environ = {"LEDGER_URL": ledger_url}
    async with AsyncExitStack() as stack:
        hosts = [
            await stack.enter_async_context(
                deployment.host(tmp_path / name, explicit(AGENT), environ=environ)
            )
            for name in ("one", "other")
        ]
        room = new_room()
        async with deployment.visit(room, agent_name=AGENT) as learner:
            first = await teaches(hosts, "progress.made", learner.user_id)
            [other] = [host for host in hosts if host is not first]
            first.process.kill()
            await teaches([other], "lesson.resumed", learner.user_id)
            told = len(first.log.find("progress.made", user_id=learner.user_id))
            await teaches([other], "progress.made", learner.user_id)
            await learner.met()
        await deployment.api.until("sessions", learner.user_id)
        [record] = await deployment.api.arrivals("sessions", learner.user_id)
        assert record["payload"]["sessionId"] == learner.session_id
        made = [it["words"] for it in other.log.find("progress.made", user_id=learner.user_id)]
        assert made[0] > told
        assert not other.log.find("lesson.opened", user_id=learner.user_id)


async def test_a_called_specialist_comes_from_the_host_that_called(
    deployment: Deployment, ledger_url: str, tmp_path: Path
) -> None:
    """LiveKit offers its job to either; the result returns through the one that waits for it."""
    tutors = {"probe": {"worker_type": "automatic", "max_concurrent_jobs": 5}} | explicit(AGENT)
    async with AsyncExitStack() as stack:
        livekit = await stack.enter_async_context(run_livekit())
        api = await stack.enter_async_context(dev_api_for(livekit))
        own = replace(deployment, livekit=livekit, api=api)
        hosts = [
            await stack.enter_async_context(
                own.host(tmp_path / name, tutors, environ={"LEDGER_URL": ledger_url})
            )
            for name in ("one", "other")
        ]
        await see_each_other(ledger_url)
        for room in (new_room() for _ in range(4)):  # LiveKit offers each job to either host
            for host in hosts:
                host.script(room, calls=AGENT)
                host.script(room, tutor="probe-specialist", ends_at=1)
            async with own.visit(room):
                caller = await hands_back(hosts, room)
            assert caller.log.find("probe.handed_back", room=room)[0]["outcome"] == "taught"
            assert caller.log.find("job.accepted", room=room, tutor="probe-specialist")


async def see_each_other(ledger_url: str) -> None:
    """Wait until each host has looked for others, as it does when it has renewed its lease."""
    renewals: dict[str, set[float]] = {}
    async with (
        asyncio.timeout(PATIENCE),
        await psycopg.AsyncConnection.connect(ledger_url, autocommit=True) as ledger,
    ):
        while len(renewals) < 2 or min(map(len, renewals.values())) < 3:
            found = await ledger.execute("SELECT id, renewed_at FROM host")
            for host, at in await found.fetchall():
                renewals.setdefault(host, set()).add(at)
            await asyncio.sleep(0.1)  # a table tells nobody


async def hands_back(hosts: list[HostProcess], room: str) -> HostProcess:
    """Return the host whose tutor has heard back from a specialist."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for host in hosts:
                if host.log.find("probe.handed_back", room=room):
                    return host
            await asyncio.sleep(0.1)  # two logs are watched
