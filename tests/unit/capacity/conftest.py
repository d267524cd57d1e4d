"""Virtual time for tests of capacity."""

import asyncio
from collections.abc import Callable

from loqua_host.testing.virtual_time import VirtualLoop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run all tests of this folder on virtual time."""
    return {"virtual": VirtualLoop}
