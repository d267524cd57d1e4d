"""The headroom for more lessons: a pure decision on measurements.

The cost of a lesson limits how many fit into the idle capacity. No lesson is admitted while running
lessons respond late. Few lessons may start at a time, because a start costs most.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Cost", "Headroom", "Load", "compute_headroom"]

PROCESSORS_USED: Final = 0.75
"""The ratio of CPUs that may be busy on average; turns coincide, and processes then wait."""

MEMORY_USED: Final = 0.9
"""The ratio of memory that may be in use; beyond it, the kernel evicts files or kills processes."""

LATE_SECONDS: Final = 0.25
"""The response delay in seconds that is acceptable; a reply takes about a second."""

BUSY: Final = 0.5
"""The ratio of busy CPUs below which late lessons are their tutors' fault, not the machine's."""

ROUNDING: Final = 1e-9

Bound = Literal["max_lessons", "processors", "memory", "starts", "late"]


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a lesson: CPUs, and bytes of memory."""

    processors: float
    memory: float


@dataclass(frozen=True, slots=True)
class Load:
    """The load of the machine.

    Attributes:
        processors: The number of CPUs.
        busy: How many of them have been busy, on average.
        memory: Total bytes of memory.
        memory_used: Bytes in use.
        jobs: The number of running jobs.
        unseen: How many of them `busy` does not include yet.
        starting: How many of them have just started.
        late: The median response delay of lessons, in seconds.
    """

    processors: float
    busy: float
    memory: float
    memory_used: float
    jobs: int
    unseen: float
    starting: int
    late: float


@dataclass(frozen=True, slots=True)
class Headroom:
    """The number of lessons that may start now, and what limits it.

    Attributes:
        lessons: The number; negative if more lessons run than are allowed.
        bound: The limit: `max_lessons` by configuration, `starts` if others are starting, `late` if
            running lessons respond late, or a resource.
    """

    lessons: int
    bound: Bound


def compute_headroom(load: Load, cost: Cost) -> Headroom:
    """Return how many lessons may start now; an idle host always accepts one."""
    if load.late > LATE_SECONDS and load.busy > load.processors * BUSY:
        headroom = Headroom(0, "late")
    else:
        headroom = min(_headrooms(load, cost), key=lambda one: one.lessons)
    return Headroom(max(headroom.lessons, 0 if load.jobs else 1), headroom.bound)


def _headrooms(load: Load, cost: Cost) -> tuple[Headroom, ...]:
    idle = load.processors * PROCESSORS_USED - load.busy
    free = load.memory * MEMORY_USED - load.memory_used
    return (
        Headroom(_fit(idle, cost.processors, load.unseen), "processors"),
        Headroom(_fit(free, cost.memory, load.unseen), "memory"),
        Headroom(math.ceil(load.processors) - load.starting, "starts"),
    )


def _fit(free: float, each: float, unseen: float) -> int:
    return math.floor(max(0.0, free / each - unseen) + ROUNDING)
