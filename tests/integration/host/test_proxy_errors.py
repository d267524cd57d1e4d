"""Errors of a web server, firewall or ingress before the API, without lost lessons."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.integration.host.conftest import Deployment, HostProcess, explicit

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = "behind-a-proxy"

PAGES = [
    {"kind": "intercepted", "status": 404, "body": "404 page not found"},
    {"kind": "intercepted", "status": 401, "body": ""},
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(
    deployment: Deployment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HostProcess]:
    """Yield a host that asks the API every second whether its lessons may go on."""
    directory = tmp_path_factory.mktemp("watched")
    async with deployment.host(
        directory, explicit(AGENT), lessons={"health_every": 1, "reconnect_timeout": 1}
    ) as host:
        yield host


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page["status"]))
async def test_a_lesson_and_its_record_outlive_a_page_in_the_apis_place(
    deployment: Deployment, watched: HostProcess, page: dict[str, object]
) -> None:
    """The health check goes on asking; the record waits until the API itself answers."""
    async with deployment.visit(agent_name=AGENT) as learner:
        await watched.log.until("probe.ready", room=learner.name)
        async with deployment.api.misbehaving(page):
            await watched.log.until("health.unreachable", user_id=learner.user_id)
            ticks = len(watched.log.find("progress.made", user_id=learner.user_id))
            await watched.log.until("progress.made", user_id=learner.user_id, count=ticks + 1)
            await learner.leave()
            await watched.log.until("progress.postponed", user_id=learner.user_id)
    record = await deployment.api.until("sessions", learner.user_id)
    assert record["user_id"] == learner.user_id
    assert not watched.log.find("health.refused", user_id=learner.user_id)
    assert not watched.log.find("record.dead", user_id=learner.user_id)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page["status"]))
async def test_a_learner_who_meets_such_a_page_is_taught_and_then_known(
    deployment: Deployment, watched: HostProcess, page: dict[str, object]
) -> None:
    """The lesson begins without the API, and has it once that is back."""
    async with deployment.api.misbehaving(page), deployment.visit(agent_name=AGENT) as learner:
        await watched.log.until("probe.ready", room=learner.name)
        assert watched.log.find("lesson.without_api", user_id=learner.user_id)
        await deployment.api.client.delete("/dev/faults")
        await deployment.api.until("progress", learner.user_id)
    await deployment.api.until("sessions", learner.user_id)
    assert not watched.log.find("lesson.refused", room=learner.name)


async def test_a_web_server_is_not_taken_for_the_api(
    deployment: Deployment, tmp_path: Path
) -> None:
    """The host starts all the same: the API may come back."""
    page = {"kind": "intercepted", "status": 404}
    async with (
        deployment.api.misbehaving(page),
        deployment.host(tmp_path, explicit("before-a-web-server")) as host,
        deployment.visit(agent_name="before-a-web-server") as learner,
    ):
        await host.log.until("probe.ready", room=learner.name)
        line = await host.log.until("lesson.without_api", user_id=learner.user_id)
        assert "check API_BASE_URL" in line["why"]
