"""The HTTP proxy variables, for each connection that leaves the machine."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
import pytest
from livekit.agents.utils import http_context

from loqua_host import livekit_internals
from loqua_host.core import Caller, CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.core.secrets import Sealed
from loqua_host.diagnosis.api import examine_api
from loqua_host.diagnosis.finding import in_order
from loqua_host.diagnosis.reach import reach
from loqua_host.diagnosis.worker import WorkerError, register
from loqua_host.errors import ApiError, RoomsError
from loqua_host.rooms.rooms import Rooms
from loqua_host.settings.host import HostSettings
from loqua_host.settings.secrets import LiveKitKey
from loqua_host.system.proxies import proxy_variables

CALLER = Caller("maria", "room", "agent")
KEY = LiveKitKey(Sealed("key"), Sealed("a-secret-of-32-characters-or-more"))
SECRETS = EnvironmentSecrets({"AGENT_JWT_TOKEN": "agent", "SHARED_SECRET": "shared"})


@dataclass
class CountingProxy:
    """A proxy that refuses every request and records it."""

    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The proxy's URL."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(" ".join(head.decode().split(" ")[:2]))
            writer.write(b"HTTP/1.1 502 No way on\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[CountingProxy]:
    """Serve a proxy."""
    proxy = CountingProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    async with server:
        yield proxy


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what makes this process's environment that of a host started with some variables."""

    def become(**given: str) -> None:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        for name, value in proxy_variables(given).items():
            monkeypatch.setenv(name, value)

    return become


def settings(api: str, livekit: str = "ws://livekit.invalid") -> HostSettings:
    """Return a host's settings."""
    quick = {"attempt_timeout": 3, "deadline": 4, "retries": 0}
    return HostSettings.model_validate(
        {
            "agent_id": "agent",
            "livekit": {"url": livekit},
            "api": {"api_base_url": api, **quick},
            "environment": "development",
            "tutors": [{"name": "tutor", "worker_type": "automatic", "plugin": "tutor"}],
        }
    )


async def call(api: CoreSettings) -> None:
    """Make the first call of a lesson."""
    async with LoquaApi.open(api, SECRETS) as loqua:
        with pytest.raises(ApiError):
            await loqua.lease(CALLER)


@pytest.mark.parametrize(
    ("variable", "url", "asked"),
    [
        ("HTTP_PROXY", "http://api.invalid/v1", "POST http://api.invalid/v1/"),
        ("https_proxy", "https://api.invalid", "CONNECT api.invalid:443"),
        ("ALL_PROXY", "https://api.invalid:8443", "CONNECT api.invalid:8443"),
    ],
)
async def test_calls_to_the_api_go_through_the_proxy(
    environment: Callable[..., None], proxy: CountingProxy, variable: str, url: str, asked: str
) -> None:
    """Of hosts, and of `check --live`, which does not ask for the API's address itself."""
    environment(**{variable: proxy.url})
    await call(settings(url).api)
    assert proxy.asked
    assert all(one.startswith(asked) for one in proxy.asked)
    proxy.asked.clear()
    findings = await examine_api(settings(url), SECRETS, None)
    assert proxy.asked
    assert "API: proxy" in [one.name for one in findings]
    assert not [one for one in findings if "has no address" in one.verdict.reason]


async def test_calls_to_what_no_proxy_names_do_not(
    environment: Callable[..., None], proxy: CountingProxy
) -> None:
    """Nor do those for which there is none."""
    environment(ALL_PROXY=proxy.url, NO_PROXY="api.invalid, livekit.invalid")
    await call(settings("http://api.invalid").api)
    async with Rooms.open("ws://livekit.invalid", KEY) as rooms:
        with pytest.raises(RoomsError):
            await rooms.counts()
    environment(HTTP_PROXY=proxy.url)
    await call(settings("https://api.invalid").api)
    assert proxy.asked == []


async def test_livekit_is_reached_through_the_proxy(
    environment: Callable[..., None], proxy: CountingProxy
) -> None:
    """Its rooms API, and a worker's websocket."""
    environment(ALL_PROXY=proxy.url)
    async with Rooms.open("wss://livekit.invalid", KEY) as rooms:
        with pytest.raises(RoomsError):
            await rooms.counts()
    with pytest.raises(WorkerError):
        async with register("wss://livekit.invalid", "key", "secret" * 6, "agent"):
            pass
    assert {*proxy.asked} == {"CONNECT livekit.invalid:443"}


async def test_a_proxy_that_is_not_there_is_named_by_the_check(
    environment: Callable[..., None],
) -> None:
    """With the variables, as the API's own address is not to blame."""
    environment(HTTPS_PROXY="http://127.0.0.1:9")
    [finding] = await in_order(reach("API", "https://api.invalid", "API_BASE_URL"))
    assert finding.name == "API: proxy"
    assert "HTTPS_PROXY" in finding.verdict.hint


async def test_plugins_of_a_job_follow_the_variables_too(
    environment: Callable[..., None], proxy: CountingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With LiveKit's shared session: websockets as well, and not where NO_PROXY says so."""
    monkeypatch.setattr(http_context, "aiohttp", http_context.aiohttp)
    livekit_internals.follow_proxy_variables()
    environment(ALL_PROXY=proxy.url, NO_PROXY="speech.invalid")
    async with http_context.open():
        session = http_context.http_session()
        with suppress(aiohttp.ClientError):
            await session.get("https://engine.invalid")
        with suppress(aiohttp.ClientError):
            await session.ws_connect("wss://engine.invalid:8443/")
        with suppress(aiohttp.ClientError):
            await session.get("http://speech.invalid")
    assert proxy.asked == ["CONNECT engine.invalid:443", "CONNECT engine.invalid:8443"]


NATIVE = """
    import asyncio, json, sys
    from livekit import rtc
    from loqua_host.system.proxies import bypass_native

    async def main():
        url = sys.argv[1]
        bypass_native(url)
        try:
            await asyncio.wait_for(rtc.Room().connect(url, "token"), 20)
        except (rtc.ConnectError, TimeoutError):
            pass

    asyncio.run(main())
"""


@pytest.mark.parametrize("excluded", ["", "127.0.0.1"])
async def test_the_native_client_of_a_job_does_as_well(proxy: CountingProxy, excluded: str) -> None:
    """Though it does not know NO_PROXY itself: if this fails for want of it, it has learnt."""
    given = proxy_variables({"HTTP_PROXY": proxy.url, "NO_PROXY": excluded})
    plain = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    command = [sys.executable, "-c", textwrap.dedent(NATIVE), "ws://127.0.0.1:9"]
    await asyncio.to_thread(
        subprocess.run,
        command,
        env=plain | given,
        capture_output=True,
        check=False,  # its client may abort at the process's end
        timeout=60,
    )
    assert ("CONNECT 127.0.0.1:9" in proxy.asked) == (not excluded), json.dumps(proxy.asked)
