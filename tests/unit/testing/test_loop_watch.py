"""Detection of blocking calls on a busy machine."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from loqua_host.registry.author import Author
from loqua_host.testing.loop_watch import BLOCKED_SECONDS, LoopWatch

OTHERS = 6
"""Processes that want the processor, too, so that this one has a seventh of it."""


@pytest.fixture
def busy() -> Iterator[None]:
    """Share one processor with others for as long as the test lasts."""
    before = os.sched_getaffinity(0)
    with ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, before)
        os.sched_setaffinity(0, {min(before)})
        for _ in range(OTHERS):
            command = (sys.executable, "-c", "while True: pass")
            stack.enter_context(killed(subprocess.Popen(command)))  # noqa: S603  # Python itself
        yield


@contextmanager
def killed(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill a process after a block."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


def compute(seconds: float) -> None:
    """Need the processor for these seconds."""
    ended = time.thread_time() + seconds
    while time.thread_time() < ended:
        pass


@pytest.mark.usefixtures("busy")
def test_a_call_that_waits_for_a_processor_does_not_block() -> None:
    """It takes longer than a blocking one, but not because of what it does."""
    watch, began = LoopWatch(Author(["tests"]), lambda: 0), time.monotonic()
    with watch.watching():
        compute(BLOCKED_SECONDS / 2)
    assert time.monotonic() - began > 2 * BLOCKED_SECONDS
    assert watch.found == {}


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    ("block", "seconds"),
    [
        pytest.param(compute, 2 * BLOCKED_SECONDS, id="computes"),
        # Whoever sleeps is woken by each look, and most of the time waits for a processor.
        pytest.param(time.sleep, 20 * BLOCKED_SECONDS, id="sleeps"),
    ],
)
def test_one_that_computes_or_sleeps_does(block: Callable[[float], None], seconds: float) -> None:
    """For as long as it would elsewhere."""
    watch = LoopWatch(Author(["tests"]), lambda: 0)
    with watch.watching():
        block(seconds)
    assert watch.found
