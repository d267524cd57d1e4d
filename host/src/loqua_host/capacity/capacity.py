"""Measures this machine and its lessons, and says how many more may begin."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final

from loqua_host.core.clock import Clock

from .admission import Load, Room, room_for_more
from .costs import Costs, Processes
from .machine import Usage

__all__ = ["Capacity"]

LOOK_SECONDS: Final = 1.0

AVERAGED: Final = 3
"""Looks that make an average: a learner's turn is as long."""

REMEMBERED: Final = 6
"""Averages of which the highest counts: the turns of several lessons meet now and then."""

YOUNG_SECONDS: Final = 5.0
"""After which a lesson shows in what is in use."""

STARTING_SECONDS: Final = 2.0
"""In which a job has entered its room, and its tutor has begun to greet."""


class Capacity:
    """Says how many more lessons this machine carries.

    Args:
        usage: Says what is in use.
        jobs: Gives the jobs that run, by id, each with its process; None before it has one.
        processes: Says what a process uses.
        late: Gives the seconds by which each lesson is behind its learner.
        clock: What the time is taken from.
    """

    def __init__(
        self,
        usage: Callable[[], Usage],
        jobs: Callable[[], Mapping[str, int | None]],
        processes: Processes,
        late: Callable[[], Sequence[float]],
        clock: Clock,
    ) -> None:
        self._usage = usage
        self._jobs = jobs
        self._late = late
        self._clock = clock
        self._costs = Costs(processes)
        self._since: dict[str, float] = {}
        self._looks = deque([(clock.monotonic(), usage())], AVERAGED + 1)
        self._averages = deque([0.0], REMEMBERED)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        now, (before, _) = self._clock.monotonic(), self._looks[-1]
        self._looks.append((now, self._usage()))
        (since, then), (_, usage) = self._looks[0], self._looks[-1]
        worked = usage.processor_seconds - then.processor_seconds
        self._averages.append(worked / max(now - since, LOOK_SECONDS))
        ages = self._ages(now)
        grown = [pid for job, pid in self._jobs().items() if pid and ages[job] >= YOUNG_SECONDS]
        self._costs.measure(grown, now - before)

    def room(self) -> Room:
        """Say how many lessons may begin now, which is never less than none."""
        ages = self._ages(self._clock.monotonic()).values()
        _, usage = self._looks[-1]
        load = Load(
            processors=usage.processors,
            busy=max(self._averages),
            memory=usage.memory,
            memory_used=usage.memory_used,
            jobs=len(ages),
            young=sum(age < YOUNG_SECONDS for age in ages),
            starting=sum(age < STARTING_SECONDS for age in ages),
            late=median(self._late() or [0.0]),
        )
        return room_for_more(load, self._costs.lesson)

    def _ages(self, now: float) -> dict[str, float]:
        """Return for how many seconds each job has been known."""
        self._since = {job: self._since.get(job, now) for job in self._jobs()}
        return {job: now - since for job, since in self._since.items()}
