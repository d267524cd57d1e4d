"""Interruption of a tutor's blocking code, on real time and with real signals."""

import asyncio
import re
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from loqua_host.errors import BlockedError
from loqua_host.job import watchdog as module
from loqua_host.job.watchdog import Watchdog
from loqua_host.registry.author import Author

LIMIT = 0.5
LONG = 30.0


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than in a lesson."""
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.3)


def mine(limit: float = LIMIT) -> Watchdog:
    """Return a watchdog for whom this file is the author's."""
    return Watchdog(Author(["tests"]), limit)


def sleep() -> None:
    """Wait as many people do it."""
    time.sleep(LONG)


def wait_for_lock() -> None:
    """Wait for what never comes."""
    threading.Event().wait(LONG)


def compute() -> None:
    """Compute for ever."""
    while True:
        pass


def match() -> None:
    """Try all ways to match, with Python's lock held."""
    re.fullmatch(r"(a|a|aa)+$", "a" * 60 + "b")


def catch() -> None:
    """Continue after the first interruption."""
    for _ in range(2):
        try:
            time.sleep(LONG)
        except BlockedError:
            continue
    time.sleep(LONG)


@pytest.mark.parametrize("block", [sleep, wait_for_lock, compute, match, catch])
async def test_code_of_the_tutor_that_blocks_is_ended(block: Callable[[], None]) -> None:
    """It may wait for anything; the log contains the call and its lines."""

    async def on_progress_tick() -> None:
        block()

    began = time.monotonic()
    with structlog.testing.capture_logs() as logs, mine().guarding():
        with pytest.raises(BlockedError, match="kept the event loop"):
            await on_progress_tick()
        await asyncio.sleep(0.1)
    assert time.monotonic() - began < LONG / 2
    [line] = [log for log in logs if log["event"] == "job.hung"]
    assert "on_progress_tick" in line["exception"]
    assert f"in {block.__name__}\n" in line["exception"]
    assert line["exception"].startswith('Stack (most recent call last):\n  File "')


async def test_code_that_no_signal_reaches_is_named() -> None:
    """The host kills the process afterwards."""

    def block() -> None:
        while not logs:
            time.sleep(LIMIT / 10)

    with structlog.testing.capture_logs() as logs, mine().guarding():
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # as code in C does for as long as it runs
        block()
    [line] = [log for log in logs if log["event"] == "job.hung"]
    assert "in block\n" in line["exception"]


async def test_other_code_that_blocks_is_left_alone() -> None:
    """The tutor cannot fix it."""
    with structlog.testing.capture_logs() as logs, Watchdog(Author(["x"]), LIMIT).guarding():
        time.sleep(3 * LIMIT)  # noqa: ASYNC251  # the mistake
    assert logs == []


async def test_code_that_only_waits_for_a_processor_is_left_alone() -> None:
    """Another program has it; that is not the tutor's fault."""
    watchdog = Watchdog(Author(["tests"]), LIMIT, monotonic=lambda: 0.0)
    with structlog.testing.capture_logs() as logs, watchdog.guarding():
        time.sleep(3 * LIMIT)  # noqa: ASYNC251  # in place of a full machine
    assert logs == []


async def test_code_that_returns_in_time_is_not_disturbed() -> None:
    """However often, and the timer and the handler of others are theirs again."""
    handler: Any = signal.getsignal(signal.SIGALRM)
    limit = 3.0  # a machine with other work may stall for two seconds
    with structlog.testing.capture_logs() as logs, mine(limit).guarding():
        for _ in range(10):
            time.sleep(limit / 8)  # noqa: ASYNC251  # longer than allowed, all in all
            await asyncio.sleep(0.06)
    assert logs == []
    assert signal.getsignal(signal.SIGALRM) is handler
