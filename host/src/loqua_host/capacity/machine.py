"""CPU and memory usage of this machine, or of the container's limits."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

__all__ = ["Machine", "Usage"]

PROC: Final = Path("/proc")
CGROUPS: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Usage:
    """Total and used resources.

    Attributes:
        processors: The number of CPUs, possibly a fraction.
        processor_seconds: Total CPU seconds used so far.
        memory: Total bytes of memory.
        memory_used: Bytes in use, without the kernel's file cache.
    """

    processors: float
    processor_seconds: float
    memory: int
    memory_used: int

    @property
    def memory_share(self) -> float:
        """The ratio of memory in use."""
        return self.memory_used / self.memory


class Machine:
    """Read usage from the kernel, and limits from this process's control groups (cgroup v2).

    A process in a container sees its own group as the root; a service's group is below the root. A
    group's limit applies to everything in it, so the lowest one counts.

    Args:
        proc: The mount point of procfs.
        cgroups: The mount point of cgroup2.
    """

    def __init__(self, proc: Path = PROC, cgroups: Path = CGROUPS) -> None:
        self._groups = tuple(_groups(proc, cgroups))

    def usage(self) -> Usage:
        """Return the current usage."""
        processors, worked = self._processors()
        memory, used = self._memory()
        return Usage(processors, worked, memory, used)

    def _processors(self) -> tuple[float, float]:
        allowed = float(len(psutil.Process().cpu_affinity() or ()) or psutil.cpu_count() or 1)
        bounds = [(bound, group) for group in self._groups if (bound := _quota(group))]
        processors, group = min(bounds, key=lambda it: it[0], default=(allowed, None))
        if group is None or processors >= allowed:
            return allowed, _worked()
        return processors, int(_stat(group, "cpu.stat")["usage_usec"]) / 1e6

    def _memory(self) -> tuple[int, int]:
        machine = psutil.virtual_memory()
        bounds = [(bound, group) for group in self._groups if (bound := _bound(group))]
        memory, group = min(bounds, key=lambda it: it[0], default=(machine.total, None))
        if group is None or memory >= machine.total:
            return machine.total, machine.total - machine.available
        used = int((group / "memory.current").read_text())
        return memory, used - int(_stat(group, "memory.stat")["inactive_file"])


def _groups(proc: Path, cgroups: Path) -> Iterator[Path]:
    """Yield the control groups around this process, its own first."""
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
    if own is None or not (cgroups / "cgroup.controllers").exists():
        return
    path = cgroups / own
    while path != cgroups:
        if path.exists():  # a container may see its outer name, which does not exist inside
            yield path
        path = path.parent
    yield cgroups


def _quota(group: Path) -> float | None:
    """Return a group's CPU limit, if it has one."""
    try:
        most, period = (group / "cpu.max").read_text().split()
        return int(most) / int(period)
    except (OSError, ValueError):  # no such file at the root, or "max"
        return None


def _bound(group: Path) -> int | None:
    """Return a group's memory limit in bytes, if it has one."""
    try:
        return int((group / "memory.max").read_text())
    except (OSError, ValueError):  # as above
        return None


def _stat(group: Path, name: str) -> dict[str, str]:
    return dict(line.split() for line in (group / name).read_text().splitlines())


def _worked() -> float:
    """Return the total CPU seconds of this machine."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
