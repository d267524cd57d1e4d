"""Hosts forked for tests: children of the test that end like a program."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from tests.integration.host.conftest import explicit, tutors_environ, write_config
from tests.integration.host.warm_hosts import WarmHosts, warm_hosts

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY = {"AGENT_ID": "loqua-test", "API_BASE_URL": "http://127.0.0.1:9"} | {
    "AGENT_JWT_TOKEN": "a.b.c",
    "DEV_AGENT_SECRET": "a secret that nobody knows, and more of it",
    "LIVEKIT_URL": "ws://127.0.0.1:9",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "another secret that nobody knows, and more of it",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warm(third_party: Path) -> AsyncIterator[WarmHosts]:
    """Yield what forks hosts."""
    async with warm_hosts(tutors_environ(third_party)) as warm:
        yield warm


async def test_a_host_that_cannot_start_says_why_and_fails(warm: WarmHosts, tmp_path: Path) -> None:
    """Output and exit code are those of the command."""
    host, log = await warm.start(["run", "--config", str(tmp_path / "none")], dict(os.environ))
    assert b"--config" in await log.read()
    assert await host.wait() == 2


async def test_hosts_that_start_side_by_side_are_all_children(warm: WarmHosts) -> None:
    """Each has its own log and exit code."""
    names = [f"none-{number}" for number in range(5)]  # a longer one would be wrapped
    started = await asyncio.gather(
        *(warm.start(["run", "--config", name], dict(os.environ)) for name in names)
    )
    async with asyncio.timeout(40):
        for name, (host, log) in zip(names, started, strict=True):
            assert name.encode() in await log.read()
            assert await host.wait() == 2


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGKILL, -9)], ids=["stopped", "killed"]
)
async def test_a_host_has_no_secret_in_its_environment_and_ends_as_it_is_told(
    warm: WarmHosts, third_party: Path, tmp_path: Path, number: int, code: int
) -> None:
    """It is a child of this process, and its log ends with it."""
    config = write_config(tmp_path, explicit("alone"), {})
    environ = tutors_environ(third_party) | NOBODY
    host, log = await warm.start(["run", "--config", str(config)], environ)
    assert psutil.Process(host.pid).ppid() == os.getpid()
    while b"ops.serving" not in (line := await log.readline()):
        assert line, "the host has ended"
    assert not NOBODY.keys() & psutil.Process(host.pid).environ().keys()
    host.send_signal(number)
    async with asyncio.timeout(40):
        await log.read()
        assert await host.wait() == code
