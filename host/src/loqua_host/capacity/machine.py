"""What this machine has and how much of it is in use: the container's share, if it has a bound."""

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
    """What there is and what is in use.

    Attributes:
        processors: How many there are; a share of one is a fraction.
        processor_seconds: Seconds that processors have worked so far, of all of them together.
        memory: Bytes that there are.
        memory_used: Bytes in use; the kernel's file cache does not count, as it gives way.
    """

    processors: float
    processor_seconds: float
    memory: int
    memory_used: int

    @property
    def memory_share(self) -> float:
        """How much of the memory is used, from 0 to 1."""
        return self.memory_used / self.memory


class Machine:
    """Reads the kernel's figures, and the bounds of control groups around this process (v2).

    A process in a container sees its own group as the root; one of a service has its own below.
    A group's bound holds for all that is in it, so the tightest one counts.

    Args:
        proc: Where the kernel tells of processes.
        cgroups: Where it has the control groups.
    """

    def __init__(self, proc: Path = PROC, cgroups: Path = CGROUPS) -> None:
        self._groups = tuple(_groups(proc, cgroups))

    def usage(self) -> Usage:
        """Return what is in use now."""
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
        if path.exists():  # a container may see its name outside, and not its place
            yield path
        path = path.parent
    yield cgroups


def _quota(group: Path) -> float | None:
    """Return how many processors a group may use, if it is bounded."""
    try:
        most, period = (group / "cpu.max").read_text().split()
        return int(most) / int(period)
    except (OSError, ValueError):  # no such file at the root, or "max"
        return None


def _bound(group: Path) -> int | None:
    """Return how many bytes a group may use, if it is bounded."""
    try:
        return int((group / "memory.max").read_text())
    except (OSError, ValueError):  # as above
        return None


def _stat(group: Path, name: str) -> dict[str, str]:
    return dict(line.split() for line in (group / name).read_text().splitlines())


def _worked() -> float:
    """Return the seconds that this machine's processors have worked, for whomever."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice
