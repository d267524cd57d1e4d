"""The dev API on a real socket: start, faults and end."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from loqua_host.dev.api import DevApiSettings, serve

JOIN = {"user_id": "user_ana"}


def settings(**changes: object) -> DevApiSettings:
    """Return settings as a developer has them."""
    return DevApiSettings.model_validate(
        {
            "shared_secret": "a shared secret",
            "livekit_url": "ws://127.0.0.1:7880",
            "livekit_api_key": "devkey",
            "livekit_api_secret": "a secret of the LiveKit server, thirty-two or more",
            **changes,
        }
    )


@asynccontextmanager
async def served(**changes: object) -> AsyncIterator[str]:
    """Serve the API for the duration of a block; yield its base URL."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings(**changes), ready=ready.set_result))
    await asyncio.wait({ready, serving}, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield ready.result() if ready.done() else serving.result() or ""
    finally:
        serving.cancel()
        async with asyncio.timeout(30):
            await asyncio.wait({serving})


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an API that is served for this test."""
    async with served() as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client


async def health(client: httpx.AsyncClient) -> httpx.Response:
    """Request health, without a token."""
    return await client.post("/api/v1/agent/health", json={"userId": "user_ana"})


async def misbehave(client: httpx.AsyncClient, **fault: object) -> None:
    """Activate one fault."""
    await client.put("/dev/faults", json={"faults": [fault]})


async def test_it_answers_as_soon_as_it_is_ready(client: httpx.AsyncClient) -> None:
    """On a free port of the loopback, with one Date and no word about the server."""
    answer = await client.post("/api/v1/rooms/join", json=JOIN)
    assert answer.status_code == 200
    assert str(client.base_url).startswith("http://127.0.0.1:")
    assert len(answer.headers.get_list("Date")) == 1
    assert "Server" not in answer.headers


async def test_its_end_frees_port_and_tasks() -> None:
    """Cancelled while a stream is open and a request hangs, it leaves nothing."""
    before = asyncio.all_tasks()
    async with served() as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        port = urlsplit(url).port
        await misbehave(client, kind="hang")
        async with asyncio.TaskGroup() as group, client.stream("GET", "/dev/events"):
            hanging = group.create_task(health(client))
            await asyncio.wait({hanging}, timeout=0.1)
            hanging.cancel()
    assert asyncio.all_tasks() == before
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))


async def test_open_streams_and_hung_requests_do_not_hold_up_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The API goes first; those who still listen are cut off, and no task has to be cancelled."""
    async with httpx.AsyncClient(timeout=60) as client:
        async with served() as url:
            await client.put(f"{url}/dev/faults", json={"faults": [{"kind": "hang"}]})
            hanging = asyncio.create_task(client.post(f"{url}/api/v1/agent/health", json={}))
            await asyncio.wait({hanging}, timeout=0.1)
        with pytest.raises(httpx.TransportError):
            await hanging
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_taken_port_is_an_os_error() -> None:
    """It says so at once instead of serving elsewhere."""
    async with served() as url:
        with pytest.raises(OSError, match="in use"):
            await serve(settings(port=urlsplit(url).port), ready=print)


@pytest.mark.parametrize("kind", ["outage", "lost_answer"])
async def test_a_dropped_connection_is_a_transport_error(
    client: httpx.AsyncClient, kind: str
) -> None:
    """The client sees a broken connection; the next request is answered again."""
    await misbehave(client, kind=kind, count=1)
    with pytest.raises(httpx.TransportError):
        await health(client)
    assert (await health(client)).status_code == 401


async def test_a_hung_request_ends_by_its_callers_patience(client: httpx.AsyncClient) -> None:
    """Other requests are answered meanwhile."""
    await misbehave(client, kind="hang", count=1)
    client.timeout = httpx.Timeout(30, read=0.2)
    with pytest.raises(httpx.ReadTimeout):
        await health(client)
    client.timeout = httpx.Timeout(30)
    assert (await health(client)).status_code == 401


async def test_latency_delays_the_answer_and_no_other(client: httpx.AsyncClient) -> None:
    """A late answer comes after its time, another endpoint's at once."""
    await misbehave(client, kind="latency", seconds=0.3, endpoint="health")
    start = asyncio.get_running_loop().time()
    assert (await health(client)).status_code == 401
    assert asyncio.get_running_loop().time() - start >= 0.3
    await misbehave(client, kind="latency", seconds=60, endpoint="health")
    late = asyncio.create_task(health(client))
    other = await client.get("/api/v1/agent/user/user_ana/context", headers={"X-Agent-ID": "a"})
    assert (other.status_code, late.done()) == (401, False)
    late.cancel()


async def test_events_arrive_as_they_happen(client: httpx.AsyncClient) -> None:
    """Earlier arrivals are not sent again, unless the caller names the last one that it has."""
    await client.post("/api/v1/rooms/join", json=JOIN | {"room_name": "before"})
    async with client.stream("GET", "/dev/events") as stream:
        await client.post("/api/v1/rooms/join", json=JOIN | {"room_name": "after"})
        assert await first_event(stream) == ("joins", "2", "after")
    async with client.stream("GET", "/dev/events", headers={"Last-Event-ID": "0"}) as stream:
        assert await first_event(stream) == ("joins", "1", "before")


async def first_event(stream: httpx.Response) -> tuple[str, str, str]:
    """Return the kind, id and room of the next event on the stream."""
    fields: dict[str, str] = {}
    async for line in stream.aiter_lines():
        if not line and fields:
            break
        if line and not line.startswith(":"):
            name, value = line.split(": ", 1)
            fields[name] = value
    return fields["event"], fields["id"], json.loads(fields["data"])["payload"]["room_name"]
