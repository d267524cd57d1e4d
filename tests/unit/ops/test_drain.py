"""A drain that an operator requests at the ops address."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from aiohttp import encode_basic_auth, web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from loqua_host.diagnosis.machine import RunningHost
from loqua_host.ops.access import guard
from loqua_host.ops.drain import DRAIN, Drain, receive_drain
from loqua_host.settings.host import OpsSettings

Client = TestClient  # type: ignore[type-arg]  # generic in aiohttp's own request type

TOKEN = SecretStr("a-token-of-the-ops-address")
BEARER = {"Authorization": f"Bearer {TOKEN.get_secret_value()}"}


@pytest.fixture
def drain() -> Drain:
    """Return a drain that nobody has requested."""
    return Drain()


@pytest.fixture
def tokens() -> list[SecretStr]:
    """Return the tokens of the ops address."""
    return [TOKEN]


@pytest.fixture
async def ops(drain: Drain, tokens: Sequence[SecretStr]) -> AsyncIterator[Client]:
    """Yield a client of an ops address."""
    app = web.Application(middlewares=[guard(lambda: tokens, unless=frozenset())])
    app.router.add_post(DRAIN, receive_drain(lambda: tokens, drain))
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_drain_is_answered_once_no_lesson_is_left(ops: Client, drain: Drain) -> None:
    """Until then, the client waits."""
    answer = asyncio.create_task(ops.post(DRAIN, headers=BEARER))
    await drain.requested.wait()
    assert not answer.done()
    drain.done.set()
    assert await (await answer).text() == "drained\n"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="nothing"),
        pytest.param({"Authorization": "Bearer another"}, 401, id="another token"),
        pytest.param(
            {"Authorization": encode_basic_auth("ops", TOKEN.get_secret_value())},
            403,
            id="a browser's password",
        ),
    ],
)
async def test_a_drain_needs_a_bearer_token(
    ops: Client, drain: Drain, headers: dict[str, str], status: int
) -> None:
    """A browser sends its password for any page that asks it to."""
    assert (await ops.post(DRAIN, headers=headers)).status == status
    assert not drain.requested.is_set()


async def test_a_host_without_a_token_is_not_drained(
    ops: Client, drain: Drain, tokens: list[SecretStr]
) -> None:
    """On loopback, a tutor could."""
    tokens.clear()
    assert (await ops.post(DRAIN, headers=BEARER)).status == 403
    assert (await ops.get(DRAIN)).status == 405
    assert not drain.requested.is_set()


async def test_a_drain_from_the_command_line_waits_for_the_lessons(
    ops: Client, drain: Drain
) -> None:
    """For the given time; the host continues to drain."""
    host = RunningHost(OpsSettings(port=ops.port), [TOKEN])
    assert await host.drain(0) is False
    await drain.requested.wait()
    drain.done.set()
    assert await host.drain(5) is True


async def test_a_drain_from_the_command_line_that_is_refused_is_known(
    ops: Client, drain: Drain
) -> None:
    """The command also reports a host that does not run."""
    for host in (
        RunningHost(OpsSettings(port=ops.port), [SecretStr("another")]),
        RunningHost(OpsSettings(port=ops.port)),
        RunningHost(OpsSettings(port=1), [TOKEN]),
    ):
        assert await host.drain(5) is None
    assert not drain.requested.is_set()
