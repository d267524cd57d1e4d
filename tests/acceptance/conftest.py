"""One speech server for all tests of a process: it keeps nothing, and its model takes seconds."""

from collections.abc import AsyncIterator

import pytest_asyncio

from loqua_host.dev.parts import run_speech


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def speech_url() -> AsyncIterator[str]:
    """Yield the address of a speech server."""
    async with run_speech(print) as url:
        yield url
