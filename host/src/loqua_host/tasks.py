"""Tasks that live as long as a block."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Never

__all__ = ["background"]


class _BlockEndedError(Exception):
    """Raised to have a task group cancel what still runs in it."""


def _end_block() -> Never:
    raise _BlockEndedError


@asynccontextmanager
async def background() -> AsyncIterator[asyncio.TaskGroup]:
    """Give a task group whose tasks are cancelled when the block ends.

    A task that fails ends the block, as in any task group.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
            _end_block()
    except* _BlockEndedError:
        pass
