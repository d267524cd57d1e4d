"""Measurement of the capacity for more lessons, on the machine and in running lessons."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from loqua_host.capacity.admission import Headroom
from loqua_host.capacity.capacity import FIRST, LEAST, CapacityMonitor
from loqua_host.capacity.machine import Usage
from loqua_host.testing.virtual_time import VirtualClock

GB = 10**9


@dataclass
class FakeMachine:
    """A machine of four CPUs whose load a test sets, in CPUs and bytes."""

    busy: float = 0.4
    memory_used: float = 2 * GB
    worked: float = 0.0
    jobs: list[str] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    _at: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def usage(self) -> Usage:
        """Return what is in use."""
        now = asyncio.get_running_loop().time()
        self.worked += self.busy * (now - self._at)
        self._at = now
        return Usage(4.0, self.worked, 8 * GB, int(self.memory_used))

    async def teach(self, lessons: int, processors: float, memory: float = 0.1 * GB) -> None:
        """Teach so many lessons for five minutes, each with this usage."""
        self.jobs = [f"job {number}" for number in range(lessons)]
        self.busy, self.memory_used = 0.4 + lessons * processors, 2 * GB + lessons * memory
        await asyncio.sleep(300)


@pytest.fixture
async def machine() -> FakeMachine:
    """Return a calm machine."""
    return FakeMachine()


@pytest.fixture
async def capacity(machine: FakeMachine) -> AsyncIterator[CapacityMonitor]:
    """Yield what measures it, and has done so for a while."""
    made = CapacityMonitor(
        machine.usage, lambda: machine.jobs, lambda: machine.late, VirtualClock()
    )
    running = asyncio.create_task(made.run())
    await asyncio.sleep(20)
    yield made
    running.cancel()


async def test_few_lessons_begin_at_the_same_time(
    machine: FakeMachine, capacity: CapacityMonitor
) -> None:
    """Within two seconds, as many begin as there are processors."""
    for number in range(4):
        assert capacity.headroom() == Headroom(4 - number, "starts")
        machine.jobs.append(f"job {number}")
    assert capacity.headroom() == Headroom(0, "starts")
    await asyncio.sleep(2.5)
    assert capacity.headroom().lessons > 0


async def test_a_lesson_that_begins_counts_before_it_is_felt(
    machine: FakeMachine, capacity: CapacityMonitor
) -> None:
    """At what one costs, and less as it shows."""
    machine.busy = 3.0 - 2.5 * FIRST.processors
    await asyncio.sleep(20)
    assert capacity.headroom() == Headroom(2, "processors")
    machine.jobs.append("one")
    assert capacity.headroom() == Headroom(1, "processors")
    machine.busy += FIRST.processors
    for _ in range(30):
        await asyncio.sleep(1)
        assert capacity.headroom() == Headroom(1, "processors")


async def test_a_moment_s_calm_is_no_room(machine: FakeMachine, capacity: CapacityMonitor) -> None:
    """Learners take turns; what is in use on the average counts."""
    machine.jobs.append("one")
    machine.busy = 4.0
    await asyncio.sleep(20)
    machine.busy = 0.1
    await asyncio.sleep(2)
    assert capacity.headroom() == Headroom(0, "processors")
    await asyncio.sleep(8)
    assert capacity.headroom().lessons > 0


async def test_lessons_that_are_late_keep_others_out(
    machine: FakeMachine, capacity: CapacityMonitor
) -> None:
    """Not one of them alone, whose own tutor may be slow."""
    await machine.teach(3, 0.6)
    machine.late = [2.0, 0.0, 0.0]
    assert capacity.headroom().lessons > 0
    machine.late = [2.0, 0.4, 0.0]
    assert capacity.headroom() == Headroom(0, "late")


@pytest.mark.parametrize(
    ("processors", "memory", "room"),
    [
        pytest.param(0.2, 0.1 * GB, Headroom(4, "starts"), id="cheap"),
        pytest.param(0.7, 0.1 * GB, Headroom(1, "processors"), id="dear"),
        pytest.param(0.2, 1.5 * GB, Headroom(1, "memory"), id="large"),
    ],
)
async def test_what_a_lesson_costs_is_measured(
    machine: FakeMachine,
    capacity: CapacityMonitor,
    processors: float,
    memory: float,
    room: Headroom,
) -> None:
    """It is what the machine uses more than without any."""
    await machine.teach(2, processors, memory)
    assert capacity.headroom() == room


async def test_lessons_where_nobody_speaks_are_no_measure(
    machine: FakeMachine, capacity: CapacityMonitor
) -> None:
    """Else a machine would be full of learners who all begin to speak."""
    await machine.teach(10, 0.0, 0.0)
    machine.jobs.clear()
    machine.busy = 3.0 - 3.5 * LEAST.processors
    await asyncio.sleep(20)
    assert capacity.headroom() == Headroom(3, "processors")


async def test_a_neighbour_of_the_host_is_no_lesson(
    machine: FakeMachine, capacity: CapacityMonitor
) -> None:
    """Its usage counts as used and does not raise the cost of a lesson."""
    machine.busy = 2.0
    await asyncio.sleep(20)
    machine.jobs, machine.busy = ["one"], 2.2
    await asyncio.sleep(300)
    assert capacity.headroom() == Headroom(3, "processors")
