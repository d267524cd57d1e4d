"""Measurement of this machine's usage and of the cost of lessons."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from loqua_host.core.clock import Clock

from .admission import Cost, Headroom, Load, compute_headroom
from .machine import Usage

__all__ = ["FIRST", "LEAST", "CapacityMonitor"]

SAMPLE_SECONDS: Final = 1.0

WINDOW: Final = 10
"""Number of measurements in the moving average, in which learner and tutor take turns."""

STARTING_SECONDS: Final = 2.0
"""Seconds for which a job counts as starting: it joins its room and starts to greet."""

FIRST: Final = Cost(processors=0.4, memory=200e6)
"""The assumed cost of a lesson before any measurement, with speech engines on this machine."""

LEAST: Final = Cost(processors=0.05, memory=50e6)
"""The minimum assumed cost, because a silent lesson costs less than others."""

WEIGHT_SECONDS: Final = 60.0
"""Lesson-seconds whose measurement has the same weight as all earlier ones."""


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    usage: Usage
    jobs: int


class CapacityMonitor:
    """Compute how many more lessons this machine can run.

    The cost of a lesson is what the machine uses in addition to its idle usage, divided by the
    number of lessons. It therefore includes the host, and speech engines or LiveKit on the same
    machine.

    Args:
        usage: Returns the machine's usage.
        jobs: Returns the ids of running and starting jobs.
        late: Returns the response delays of all lessons, in seconds.
        clock: The clock.
    """

    def __init__(
        self,
        usage: Callable[[], Usage],
        jobs: Callable[[], Iterable[str]],
        late: Callable[[], Sequence[float]],
        clock: Clock,
    ) -> None:
        self._usage = usage
        self._jobs = jobs
        self._late = late
        self._clock = clock
        self._since: dict[str, float] = {}
        first = _Sample(clock.monotonic(), usage(), 0)
        self._samples = deque([first], WINDOW + 1)
        self._idle = Cost(processors=0.0, memory=first.usage.memory_used)
        self._lesson = FIRST

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await self._clock.sleep(SAMPLE_SECONDS)
            self._sample()

    def headroom(self) -> Headroom:
        """Return how many lessons may start now, at least 0."""
        ages = self._ages(self._clock.monotonic())
        now = self._samples[-1].usage
        load = Load(
            processors=now.processors,
            busy=self._busy,
            memory=now.memory,
            memory_used=now.memory_used,
            jobs=len(ages),
            unseen=len(ages) - _seen(ages),
            starting=sum(age < STARTING_SECONDS for age in ages),
            late=median(self._late() or [0.0]),
        )
        return compute_headroom(load, self._lesson)

    @property
    def _busy(self) -> float:
        """Return the average number of busy CPUs in the window."""
        first, last = self._samples[0], self._samples[-1]
        worked = last.usage.processor_seconds - first.usage.processor_seconds
        return worked / max(last.at - first.at, SAMPLE_SECONDS)

    def _sample(self) -> None:
        now, usage = self._clock.monotonic(), self._usage()
        ages = self._ages(now)
        self._samples.append(_Sample(now, usage, len(ages)))
        used = Cost(self._busy, usage.memory_used)
        if not any(sample.jobs for sample in self._samples):
            self._idle = used
        elif (seen := _seen(ages)) >= 1:
            self._measure(used, seen)

    def _measure(self, used: Cost, lessons: float) -> None:
        """Add a measurement of lessons, weighted by their number."""
        share = min(1.0, lessons * SAMPLE_SECONDS / WEIGHT_SECONDS)
        before, idle = self._lesson, self._idle
        processors = (used.processors - idle.processors) / lessons
        memory = (used.memory - idle.memory) / lessons
        self._lesson = Cost(
            max(LEAST.processors, _blend(before.processors, processors, share)),
            max(LEAST.memory, _blend(before.memory, memory, share)),
        )

    def _ages(self, now: float) -> list[float]:
        """Return the ages of all jobs, in seconds."""
        self._since = {job: self._since.get(job, now) for job in self._jobs()}
        return [now - since for since in self._since.values()]


def _seen(ages: Sequence[float]) -> float:
    """Return how many lessons the average includes; a new one counts as a fraction."""
    return sum(min(1.0, age / (WINDOW * SAMPLE_SECONDS)) for age in ages)


def _blend(before: float, measured: float, share: float) -> float:
    return before + (measured - before) * share
