"""Tutors' processes that exceed the limits in their tutor's file."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from loqua_host.lessons.tutors import RunningTutor
from loqua_host.livekit_internals import JobProcessStatus
from loqua_host.testing.tutors import job_settings
from loqua_host.testing.virtual_time import VirtualClock, VirtualLoop
from loqua_host.workers.limits import LimitWatch, ProcessUsage, read_usage

LOOP = VirtualLoop

GREEDY, MODEST = 7, 8


@dataclass
class TutorProcesses:
    """Two processes of a tutor, and their resource usage."""

    cpu: dict[int, float] = field(default_factory=lambda: {GREEDY: 0.1, MODEST: 0.1})
    memory: dict[int, int] = field(default_factory=lambda: {GREEDY: 3 * 10**8, MODEST: 3 * 10**8})
    killed: list[int] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=lambda: {"memory": 1000, "cpu": 0.5})

    @property
    def tutor(self) -> RunningTutor:
        """Return the tutor."""
        return RunningTutor(job_settings("greedy", limits=self.limits))

    def processes(self) -> list[JobProcessStatus]:
        """Return those that are not killed."""
        jobs = {GREEDY: "AJ_greedy", MODEST: None}
        return [JobProcessStatus(pid, job) for pid, job in jobs.items() if pid not in self.killed]

    def read(self, pid: int) -> ProcessUsage | None:
        """Return what one has used since the beginning."""
        return ProcessUsage(self.cpu[pid] * asyncio.get_running_loop().time(), self.memory[pid])


@pytest.fixture
async def machine() -> AsyncIterator[TutorProcesses]:
    """Yield a machine that is watched."""
    made = TutorProcesses()
    watch = LimitWatch(lambda: [made], made.read, made.killed.append, VirtualClock())
    running = asyncio.create_task(watch.run())
    yield made
    running.cancel()


async def logged_in(seconds: float) -> list[dict[str, Any]]:
    """Return what is logged in a while."""
    with structlog.testing.capture_logs() as logs:
        await asyncio.sleep(seconds)
    return [dict(log) for log in logs]


async def test_a_process_with_too_much_memory_is_killed_at_once(machine: TutorProcesses) -> None:
    """The log says what it used, what is allowed, and what to do."""
    machine.memory[GREEDY] = 11 * 10**8
    [line] = await logged_in(3)
    assert machine.killed == [GREEDY]
    assert (line["event"], line["limit"]) == ("job.over_limit", "memory")
    assert (line["used"], line["allowed"], line["job_id"]) == (1100, 1000, "AJ_greedy")
    assert "limits.memory" in line["hint"]


async def test_a_process_that_keeps_a_cpu_busy_is_killed_after_half_a_minute(
    machine: TutorProcesses,
) -> None:
    """Another one is left alone."""
    machine.cpu[GREEDY] = 0.9
    assert await logged_in(29) == []
    [line] = await logged_in(5)
    assert (line["limit"], line["used"], line["allowed"]) == ("cpu", 0.9, 0.5)
    assert machine.killed == [GREEDY]


async def test_a_burst_of_work_is_allowed(machine: TutorProcesses) -> None:
    """An answer may take a whole CPU for some seconds."""
    await asyncio.sleep(60)
    begun = asyncio.get_running_loop().time()
    before = machine.read

    def read(pid: int) -> ProcessUsage | None:
        usage = before(pid)
        assert usage is not None
        now = asyncio.get_running_loop().time()
        return ProcessUsage(usage.cpu_seconds + min(now - begun, 10.0), usage.memory)

    watch = LimitWatch(lambda: [machine], read, machine.killed.append, VirtualClock())
    running = asyncio.create_task(watch.run())
    await asyncio.sleep(60)
    running.cancel()
    assert machine.killed == []


def test_usage_is_read_from_the_kernel() -> None:
    """None of a process that is gone."""
    usage = read_usage(os.getpid())
    assert usage is not None
    assert usage.cpu_seconds > 0
    assert usage.memory > 10**7
    assert read_usage(2**22 + 1) is None
