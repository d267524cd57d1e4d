"""Time for tests of announcements."""

import asyncio
from collections.abc import Callable

import pytest

from loqua_host.testing.virtual_time import VirtualLoop


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run all tests of this folder on virtual time, except those with real sockets."""
    if item.path.stem == "test_player":
        return {"real": asyncio.new_event_loop}
    return {"virtual": VirtualLoop}
