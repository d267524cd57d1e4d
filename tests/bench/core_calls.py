"""Calls a second and p99 through the core against bare httpx, on the same server in one run.

Run `uv run python tests/bench/core_calls.py`; it fails when a ratio is below 0.8.
Both sides post the same progress over HTTP/1.1 with 20 connections. Many short rounds alternate,
so that whatever else the machine does meets both. The core's own rate limit is out of the way.
"""

import asyncio
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import httpx
import structlog
from aiohttp import web

from loqua_host.contract.records import Progress
from loqua_host.core import Caller, CoreSettings, EnvironmentSecrets, LoquaApi, wire

ROUNDS = 40
CALLS = 200
AT_A_TIME = 20
ENOUGH = 0.8

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


@dataclass
class Figures:
    """How long all rounds took together, and each call of them, in seconds."""

    total: float = 0
    calls: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Calls a second."""
        return len(self.calls) / self.total

    @property
    def p99(self) -> float:
        """What one call in a hundred exceeds."""
        return statistics.quantiles(self.calls, n=100)[98]


async def measure(call: Call, figures: Figures) -> None:
    """Add one round, with so many calls at a time."""
    left = iter(range(CALLS))

    async def worker() -> None:
        for _ in left:
            begun = time.perf_counter()
            await call()
            figures.calls.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_A_TIME)))
    figures.total += time.perf_counter() - begun


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


async def compare(port: int) -> dict[str, object]:
    """Alternate rounds of both and give their figures."""
    async with bare(port) as by_itself, core(port) as protected:
        await measure(by_itself, Figures())
        await measure(protected, Figures())
        theirs, ours = Figures(), Figures()
        for _ in range(ROUNDS):
            await measure(by_itself, theirs)
            await measure(protected, ours)
    calls, p99 = ours.rate / theirs.rate, theirs.p99 / ours.p99
    return {
        "bare_calls_a_second": round(theirs.rate),
        "core_calls_a_second": round(ours.rate),
        "bare_p99_ms": round(theirs.p99 * 1000, 1),
        "core_p99_ms": round(ours.p99 * 1000, 1),
        "calls_ratio": round(calls, 2),
        "p99_ratio": round(p99, 2),
        "enough": min(calls, p99) >= ENOUGH,
    }


def main() -> int:
    """Run server and comparison; print one JSON object."""
    structlog.configure(
        processors=[structlog.processors.TimeStamper("iso"), structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(open("/dev/null", "w")),  # noqa: SIM115, PTH123  (until the end)
        cache_logger_on_first_use=True,
    )
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=[theirs], daemon=True)
    server.start()
    try:
        figures = asyncio.run(compare(ours.recv()))
    finally:
        server.terminate()
        server.join()
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")
    return 0 if figures["enough"] else 1


if __name__ == "__main__":
    sys.exit(main())
