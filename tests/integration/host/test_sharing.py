"""Two hosts with one ledger, in real rooms: either runs a lesson, or resumes the other's."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.integration.host.conftest import (
    PATIENCE,
    Deployment,
    HostProcess,
    explicit,
    new_room,
)

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
    """Return the host that has logged this event of a learner."""
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
            before = len(first.log.find("progress.made", user_id=learner.user_id))
            await teaches([other], "progress.made", learner.user_id)
            await learner.met()
        await deployment.api.until("sessions", learner.user_id)
        [record] = await deployment.api.arrivals("sessions", learner.user_id)
        assert record["payload"]["sessionId"] == learner.session_id
        made = [it["words"] for it in other.log.find("progress.made", user_id=learner.user_id)]
        assert made[0] > before
        assert not other.log.find("lesson.opened", user_id=learner.user_id)
