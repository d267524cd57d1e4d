"""What a lesson costs this machine, measured at the processes of those that run."""

from collections.abc import Collection
from pathlib import Path
from typing import Final, Protocol

import psutil

from .admission import Cost

__all__ = ["Costs", "LinuxProcesses", "Processes"]

FIRST: Final = Cost(processors=0.2, memory=200e6)
"""What a lesson is taken to cost before one has been measured."""

LEAST: Final = Cost(processors=0.05, memory=50e6)
"""What it is taken to cost at least: one where nobody says a word is no measure."""

WEIGHT_SECONDS: Final = 60.0
"""Of lessons, whose measurement is worth as much as all those before it."""

PROCESSES: Final = Path("/proc")


class Processes(Protocol):
    """Says what a process uses; ProcessLookupError if it is gone."""

    def seconds(self, pid: int) -> float:
        """Return the processor seconds that it has used so far."""

    def memory(self, pid: int) -> int:
        """Return the bytes that are its own, and would be free without it."""


class LinuxProcesses:
    """Asks the kernel."""

    def seconds(self, pid: int) -> float:
        """Return the processor seconds that a process has used so far."""
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error as error:
            raise ProcessLookupError(pid) from error
        return float(times.user + times.system)

    def memory(self, pid: int) -> int:
        """Return the bytes that are a process's own.

        Raises:
            ProcessLookupError: If it is gone.
        """
        try:
            lines = (PROCESSES / str(pid) / "smaps_rollup").read_text().splitlines()
        except OSError as error:
            raise ProcessLookupError(pid) from error
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


class Costs:
    """Averages what lessons cost; the longer they are measured, the less a single one counts.

    Attributes:
        lesson: What one costs.
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._used: dict[int, float] = {}
        self._weighed: dict[int, None] = {}
        self.lesson = FIRST

    def measure(self, pids: Collection[int], passed: float) -> None:
        """Take in what the processes of lessons use, some seconds after the last time."""
        used = {pid: seconds for pid in pids if (seconds := self._seconds(pid)) is not None}
        both = used.keys() & self._used.keys()
        worked = sum(used[pid] - self._used[pid] for pid in both)
        self._used = used
        taught = passed * len(both)
        if taught:
            share = min(1.0, taught / WEIGHT_SECONDS)
            memory = self._memory_of_next(both)
            self.lesson = Cost(
                _blend(self.lesson.processors, worked / taught, share, LEAST.processors),
                _blend(self.lesson.memory, memory, share, LEAST.memory),
            )

    def _seconds(self, pid: int) -> float | None:
        try:
            return self._processes.seconds(pid)
        except ProcessLookupError:
            return None

    def _memory_of_next(self, pids: Collection[int]) -> float:
        """Return the memory of one process, each in turn: asking takes the kernel a while."""
        self._weighed = {pid: None for pid in self._weighed if pid in pids}
        pid = next((one for one in sorted(pids) if one not in self._weighed), None)
        if pid is None:
            pid = next(iter(self._weighed))
            del self._weighed[pid]
        self._weighed[pid] = None
        try:
            return self._processes.memory(pid)
        except ProcessLookupError:
            return self.lesson.memory


def _blend(before: float, measured: float, share: float, least: float) -> float:
    return max(least, before + (measured - before) * share)
