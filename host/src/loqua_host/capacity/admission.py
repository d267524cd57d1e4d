"""Whether there is headroom for one more lesson: a pure decision on what is measured.

Two things bound it. What a lesson costs says how many more fit into what is idle; what the lessons
feel that run says when to stop, whatever the sums say. A lesson that begins costs more than one
that goes on, so that few begin at the same time.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Cost", "Headroom", "Load", "compute_headroom"]

PROCESSORS_USED: Final = 0.75
"""Of the processors, on the average: turns meet, and then what wants one waits for it."""

MEMORY_USED: Final = 0.9
"""Of the memory: beyond, the kernel reads files again or kills a process."""

LATE_SECONDS: Final = 0.25
"""By which a lesson may be behind its learner; an answer takes about one second."""

BUSY: Final = 0.5
"""Of the processors: where fewer are in use, a lesson that is late has its own tutor to blame."""

ROUNDING: Final = 1e-9

Bound = Literal["max_lessons", "processors", "memory", "starts", "late"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one lesson takes: processors, as seconds a second, and bytes."""

    processors: float
    memory: float


@dataclass(frozen=True, slots=True)
class Load:
    """What is in use.

    Attributes:
        processors: How many there are.
        busy: How many of them were in use lately, on the average.
        memory: Bytes there are.
        memory_used: Bytes in use.
        jobs: Jobs that run.
        unseen: How many of them `busy` does not know yet.
        starting: Those that began just now.
        late: Seconds by which lessons are behind their learners: half of them more, half less.
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
    """How many more lessons may begin now, and by what they are bounded.

    Attributes:
        lessons: How many; less than none where fewer may run than do.
        bound: `max_lessons` where the configuration bounds them; `starts` where others just begin;
            `late` where those that run are behind their learners.
    """

    lessons: int
    bound: Bound


def compute_headroom(load: Load, cost: Cost) -> Headroom:
    """Return how many lessons may begin now; a host without any takes one, whatever else runs."""
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
