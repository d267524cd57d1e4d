"""How many more lessons begin is measured: at the machine, and at the lessons that run."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from loqua_host.capacity.admission import Room
from loqua_host.capacity.capacity import Capacity
from loqua_host.capacity.costs import FIRST, LEAST, Costs, LinuxProcesses
from loqua_host.capacity.machine import Usage

GB = 10**9


class LoopClock:
    """The loop's own clock, which is virtual here."""

    def now(self) -> float:
        """Return it."""
        return asyncio.get_running_loop().time()

    monotonic = now

    async def sleep(self, seconds: float) -> None:
        """Sleep by it."""
        await asyncio.sleep(seconds)


@dataclass
class Machine:
    """A machine of four processors whose load a test says, in processors."""

    busy: float = 0.4
    worked: float = 0.0
    jobs: dict[str, int | None] = field(default_factory=dict)
    late: list[float] = field(default_factory=list)
    each: float = 0.1
    bytes_each: int = 150_000_000
    gone: set[int] = field(default_factory=set)
    weighed: list[int] = field(default_factory=list)
    begun: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    _at: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    def usage(self) -> Usage:
        """Say what is in use."""
        now = asyncio.get_running_loop().time()
        self.worked += self.busy * (now - self._at)
        self._at = now
        return Usage(4.0, self.worked, 8 * GB, 2 * GB)

    def seconds(self, pid: int) -> float:
        """Return what a process has worked."""
        if pid in self.gone:
            raise ProcessLookupError(pid)
        return self.each * (asyncio.get_running_loop().time() - self.begun)

    def memory(self, pid: int) -> int:
        """Return what is a process's own."""
        if pid in self.gone:
            raise ProcessLookupError(pid)
        self.weighed.append(pid)
        return self.bytes_each


@pytest.fixture
async def machine() -> Machine:
    """Give a calm machine."""
    return Machine()


@pytest.fixture
async def capacity(machine: Machine) -> AsyncIterator[Capacity]:
    """Give what measures it."""
    made = Capacity(machine.usage, lambda: machine.jobs, machine, lambda: machine.late, LoopClock())
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()


async def test_few_lessons_begin_at_the_same_time(machine: Machine, capacity: Capacity) -> None:
    """As many as there are processors, within two seconds."""
    for number in range(4):
        assert capacity.room().lessons == 4 - number
        machine.jobs[f"job {number}"] = None
    assert capacity.room() == Room(0, "starts")
    await asyncio.sleep(2.5)
    assert capacity.room().lessons > 0


async def test_a_lesson_that_begins_counts_before_it_is_felt(
    machine: Machine, capacity: Capacity
) -> None:
    """For five seconds, at what one costs."""
    machine.busy = 3.4 - 2.5 * FIRST.processors
    await asyncio.sleep(10)
    assert capacity.room() == Room(2, "processors")
    machine.jobs["one"] = 1
    assert capacity.room() == Room(1, "processors")
    machine.busy += FIRST.processors
    await asyncio.sleep(20)
    assert capacity.room() == Room(1, "processors")


async def test_a_moment_s_calm_is_no_room(machine: Machine, capacity: Capacity) -> None:
    """Learners take turns; the busiest of the last few seconds counts."""
    machine.jobs["one"] = 1
    machine.busy = 4.0
    await asyncio.sleep(10)
    machine.busy = 0.1
    await asyncio.sleep(5)
    assert capacity.room() == Room(0, "processors")
    await asyncio.sleep(6)
    assert capacity.room().lessons > 0


async def test_lessons_that_are_late_keep_others_out(machine: Machine, capacity: Capacity) -> None:
    """Not one of them alone, whose own tutor may be slow."""
    machine.jobs = dict.fromkeys("abc")
    machine.busy = 2.5
    await asyncio.sleep(10)
    machine.late = [2.0, 0.0, 0.0]
    assert capacity.room().lessons > 0
    machine.late = [2.0, 0.4, 0.0]
    assert capacity.room() == Room(0, "late")


async def test_what_a_lesson_costs_is_measured_at_the_lessons(
    machine: Machine, capacity: Capacity
) -> None:
    """Cheap ones leave room for more, dear ones for fewer."""
    machine.jobs = {"a": 1, "b": 2, "waits for its process": None}
    machine.busy, machine.each = 1.0, 0.1
    await asyncio.sleep(300)
    machine.jobs |= {str(number): None for number in range(3)}
    cheap = capacity.room()
    machine.each = 1.0
    await asyncio.sleep(300)
    assert cheap == Room(1, "starts")
    assert capacity.room() == Room(2, "processors")


async def test_costs_are_averaged_and_never_nothing() -> None:
    """A lesson where nobody says a word is no measure; one process is asked for its memory."""
    machine = Machine(each=0.0, bytes_each=1)
    costs = Costs(machine)
    for _ in range(1000):
        await asyncio.sleep(1)
        costs.measure([1, 2, 3], 1.0)
    assert costs.lesson == LEAST
    assert machine.weighed[:6] == [1, 2, 3, 1, 2, 3]
    assert len(machine.weighed) == 999


async def test_processes_that_come_and_go_are_no_surprise() -> None:
    """What is not known of them does not count."""
    machine = Machine()
    costs = Costs(machine)
    costs.measure([1], 1.0)
    assert costs.lesson == FIRST
    await asyncio.sleep(1)
    machine.gone = {1}
    costs.measure([1, 2], 1.0)
    assert costs.lesson == FIRST
    costs.measure([], 1.0)
    assert costs.lesson == FIRST


def test_the_kernel_says_what_a_process_uses() -> None:
    """And that it is gone."""
    processes = LinuxProcesses()
    assert processes.seconds(os.getpid()) > 0
    assert processes.memory(os.getpid()) > 1_000_000
    asking: tuple[Callable[[int], float], ...] = (processes.seconds, processes.memory)
    for ask in asking:
        with pytest.raises(ProcessLookupError):
            ask(2**22 + 1)
