"""`loqua-host drain`."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from loqua_host.cli.drain import drain_host
from loqua_host.ops.access import guard
from loqua_host.ops.drain import DRAIN, Drain, receive_drain
from loqua_host.settings.templates import TEMPLATES

TOKEN = "a-token-of-the-ops-address"
ENVIRON = {
    "AGENT_ID": "loqua-host-1",
    "AGENT_JWT_TOKEN": "x.y.z",
    "API_BASE_URL": "http://127.0.0.1:9000",
    "LIVEKIT_API_KEY": "devkey",
    "LIVEKIT_API_SECRET": "a secret of 32 characters or more",
    "LIVEKIT_URL": "ws://127.0.0.1:7880",
    "OPS_TOKEN": TOKEN,
    "SHARED_SECRET": "another of 32 characters or more",
}


@pytest.mark.parametrize(
    ("done", "said"),
    [
        pytest.param(True, "drained", id="no lesson is left"),
        pytest.param(False, "draining: lessons still run", id="lessons still run"),
    ],
)
async def test_it_drains_the_host_at_the_ops_address(
    capsys: pytest.CaptureFixture[str], *, done: bool, said: str
) -> None:
    """And says whether lessons are left."""
    drain, tokens = Drain(), [SecretStr(TOKEN)]
    if done:
        drain.done.set()
    app = web.Application(middlewares=[guard(lambda: tokens, unless=frozenset())])
    app.router.add_post(DRAIN, receive_drain(lambda: tokens, drain))
    async with TestServer(app) as server:
        environ = ENVIRON | {"LOQUA_OPS__PORT": str(server.port)}
        code = await asyncio.to_thread(drain_host, TEMPLATES, environ, 60.0 if done else 0.0)
        await drain.requested.wait()
    assert code == 0
    assert capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"LOQUA_OPS__PORT": "1"}, "no host answers", id="no host"),
        pytest.param({"LIVEKIT_API_KEY": ""}, "LIVEKIT_API_KEY", id="no secret"),
    ],
)
def test_it_says_why_it_drains_nothing(
    changed: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With an exit status that a script notices."""
    assert drain_host(Path(TEMPLATES), ENVIRON | changed, 0.0) == 1
    assert said in capsys.readouterr().err
