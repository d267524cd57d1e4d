"""The development API in a process of its own, as an API is elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection

import httpx
from tests.bench.processes import spawned
from tests.integration.host.conftest import (
    FRESH,
    PATIENCE,
    DevApiClient,
    dev_api_settings,
)

from loqua_host.dev.api import DevApiSettings, serve
from loqua_host.dev.livekit import LiveKitServer

__all__ = ["run_dev_api"]


@asynccontextmanager
async def run_dev_api(livekit: LiveKitServer) -> AsyncIterator[DevApiClient]:
    """Yield an API that does not wait for the event loop of the learners, which many keep busy."""
    settings = dev_api_settings(livekit)
    with spawned(_run, settings) as api:
        url: str = await asyncio.to_thread(api.recv)
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=FRESH) as client:
            yield DevApiClient(settings, url, client)


def _run(settings: DevApiSettings, bench: Connection) -> None:
    asyncio.run(serve(settings, ready=bench.send))
