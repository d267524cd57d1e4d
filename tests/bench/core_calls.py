"""Calls a second and p99 through the core against bare httpx, on the same server in one run.

Both sides post the same progress over HTTP/1.1 with 20 connections. Many short rounds alternate,
so that whatever else the machine does meets both. The core's own rate limit is out of the way.
"""

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import httpx
import structlog
from aiohttp import web

from loqua_host.contract.records import Progress
from loqua_host.core import Caller, CoreSettings, EnvironmentSecrets, LoquaApi, wire

CALLS = 200
AT_A_TIME = 20

Call = Callable[[], Awaitable[object]]


def serve(ready: Connection) -> None:
    """Answer every POST well, in a process of its own."""

    async def post(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"success": True, "message": "Progress updated successfully"})

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", post)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


@dataclass(frozen=True, slots=True)
class Throughput:
    """Calls per second, and the 99th percentile of their seconds."""

    rate: float
    p99: float


async def measure(call: Call) -> Throughput:
    """Make the calls of a round, with so many at a time."""
    left, took = iter(range(CALLS)), []

    async def worker() -> None:
        for _ in left:
            begun = time.perf_counter()
            await call()
            took.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_A_TIME)))
    return Throughput(CALLS / (time.perf_counter() - begun), statistics.quantiles(took, n=100)[98])


@asynccontextmanager
async def bare(port: int) -> AsyncIterator[Call]:
    """Yield the call as httpx makes it by itself, the answer read and parsed."""
    body = {
        "userId": "user-1",
        "sessionId": "s",
        "data": {"status": "in_progress", "progress": Progress().model_dump(exclude_none=True)},
    }
    limits = httpx.Limits(max_connections=AT_A_TIME, max_keepalive_connections=AT_A_TIME)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", limits=limits, http2=True
    ) as http:

        async def call() -> object:
            answer = await http.post(
                "/api/v1/agent/progress",
                json=body,
                headers={"Authorization": "Bearer agent", "X-Agent-ID": "agent-1"},
            )
            answer.raise_for_status()
            return answer.json()

        yield call


@asynccontextmanager
async def core(port: int) -> AsyncIterator[Call]:
    """Yield the call as the core makes it, with everything that protects it."""
    settings = CoreSettings.model_validate(
        {
            "api_base_url": f"http://127.0.0.1:{port}",
            "rate_limit": 1_000_000,
            "access": {"sessions": "service"},
            "pool_size": AT_A_TIME,
        }
    )
    secrets = EnvironmentSecrets({"AGENT_JWT_TOKEN": "agent", "SHARED_SECRET": "secret"})
    async with LoquaApi.open(settings, secrets) as api:
        caller = Caller("user-1", "room-1", "agent-1")
        request = wire.progress_request(caller, "s", "in_progress", Progress(), "key")
        yield lambda: api._calls.send(request, api._credentials)


async def _compare(port: int, rounds: int) -> dict[str, list[Throughput]]:
    async with bare(port) as by_itself, core(port) as protected:
        await measure(by_itself)
        await measure(protected)
        found: dict[str, list[Throughput]] = {"httpx": [], "core": []}
        for _ in range(rounds):
            found["httpx"].append(await measure(by_itself))
            found["core"].append(await measure(protected))
    return found


def compare(rounds: int) -> dict[str, list[Throughput]]:
    """Return the rounds of `httpx` by itself and of the `core`, in turns."""
    structlog.configure(
        processors=[structlog.processors.TimeStamper("iso"), structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(open("/dev/null", "w")),  # noqa: SIM115, PTH123  (until the end)
    )
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=[theirs], daemon=True)
    server.start()
    try:
        return asyncio.run(_compare(ours.recv(), rounds))
    finally:
        server.terminate()
        server.join()
        structlog.reset_defaults()
