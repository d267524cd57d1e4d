"""The LiveKit server of all integration tests of a session."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from loqua_host.dev.livekit import LiveKitServer, run_livekit
from loqua_host.dev.ports import free_port
from loqua_host.livekit_internals import silence_native_log

# A line of it that comes as Python ends aborts the process.
silence_native_log()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep fixtures out of a test's time limit: the first may have to build the server."""
    item.add_marker(pytest.mark.timeout(func_only=True))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def livekit_server() -> AsyncIterator[LiveKitServer]:
    """Yield a LiveKit server that all tests share; rooms of one test are that test's own."""
    async with run_livekit(empty_timeout=5, departure_timeout=5) as server:
        yield server


@pytest.fixture
def unused_tcp_port() -> int:
    """Return a port that no outgoing connection takes before the test's server does."""
    return free_port()
