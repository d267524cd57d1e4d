"""One speech server for all tests of a process, because its model takes seconds to load."""

import ctypes
import os
import signal
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest
import pytest_asyncio

from loqua_host.dev.livekit_binary import livekit_binary
from loqua_host.dev.parts import run_speech
from loqua_host.livekit_internals import silence_native_log

# A line of it that comes as Python ends aborts the process.
silence_native_log()

PR_SET_CHILD_SUBREAPER = 36


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def speech_url() -> AsyncIterator[str]:
    """Yield the address of a speech server."""
    async with run_speech(print) as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server_program() -> None:
    """Build the server before the clock of a test runs."""
    if "LIVEKIT_URL" not in os.environ:
        await livekit_binary(print)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Enable SIGINT for children: a shell disables it for background processes."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def orphans() -> Iterator[list[psutil.Process]]:
    """Adopt processes that outlive the demo, and yield a list; those in it are killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    found: list[psutil.Process] = []
    yield found
    for orphan in found:
        orphan.kill()
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
