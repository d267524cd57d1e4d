"""The running host, checked at its ops address."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from tests.certificates import issue
from tests.pictures.incident import incident

from loqua_host.diagnosis.machine import RunningHost
from loqua_host.host_metrics import HostMetrics
from loqua_host.ops.health import assess
from loqua_host.ops.status import HostStatus, WorkerStatus
from loqua_host.ops.web import build_app
from loqua_host.settings.certificates import serving_context
from loqua_host.settings.host import OpsSettings, TlsSettings

TOKEN = SecretStr("a-token-of-the-ops-address")


@pytest.fixture
def metrics() -> HostMetrics:
    """Return the host's figures."""
    return HostMetrics()


@pytest.fixture
async def port(metrics: HostMetrics) -> AsyncIterator[int]:
    """Serve a host's ops address that asks for a token."""
    worker = WorkerStatus(tutor="a", agent_name="a", online=True, busy=0, places=1)
    status = HostStatus(now=1000.0, workers=(worker,))
    app = build_app(lambda: status, assess, incident, metrics.registry, lambda: [TOKEN])
    async with TestServer(app) as server:
        assert server.port is not None
        yield server.port


async def test_its_workers_and_webhooks_are_known(port: int, metrics: HostMetrics) -> None:
    """To whoever has its token."""
    host = RunningHost(OpsSettings(port=port), [TOKEN])
    health = await host.health()
    assert health is not None
    assert "worker a" in {part.name for part in health.parts()}
    assert await host.webhooks() == 0
    metrics.lessons.webhooks.inc()
    assert await host.webhooks() == 1


async def test_of_what_else_answers_there_nothing_is_known(port: int) -> None:
    """Such as a host whose token is another."""
    host = RunningHost(OpsSettings(port=port), [SecretStr("another")])
    health = await host.health()
    assert health is not None
    assert list(health.parts()) == []
    assert await host.webhooks() is None


async def test_where_nobody_answers_no_host_runs() -> None:
    """Nor where the configuration has no ops address."""
    for settings in (OpsSettings(port=1), OpsSettings(port=None)):
        host = RunningHost(settings)
        assert await host.health() is None
        assert await host.webhooks() is None


async def test_a_host_with_a_certificate_is_known_by_it_alone(tmp_path: Path) -> None:
    """The host's name does not matter; a host with another certificate gets no token."""
    for folder in ("own", "other"):
        (tmp_path / folder).mkdir()
    own, other = (TlsSettings.model_validate(issue(tmp_path / it)) for it in ("own", "other"))
    status = HostStatus(now=1000.0)
    registry = HostMetrics().registry
    app = build_app(lambda: status, assess, incident, registry, lambda: [TOKEN])
    server = TestServer(app)
    await server.start_server(ssl=serving_context(own))
    try:
        found = [
            await RunningHost(OpsSettings(port=server.port, tls=tls), [TOKEN]).health()
            for tls in (own, other, None)
        ]
    finally:
        await server.close()
    assert [health is not None for health in found] == [True, False, False]
