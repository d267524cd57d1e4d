"""Scenarios with whole hosts: each starts a system and returns its figures by row."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.figures import BARE
from tests.bench.processes import in_rooms, pss
from tests.bench.systems import RunningSystem, System
from tests.bench.visits import NEVER, LearnerVisit, TutorHeard, open_visit
from tests.bench.voice_lessons import replies
from tests.integration.host.conftest import Deployment

__all__ = ["IN_TIME", "SCENARIOS", "Found", "SystemUnderTest"]

TUTORS: Final = ("first", "second", "third")
FURTHER: Final = ("fourth", "fifth", "sixth")
LESSONS: Final = 4
VISITS: Final = 6
BURST: Final = 10
KILLED_JOBS: Final = 3
LEFT_BY_HOST: Final = 6
MORE_LESSONS: Final = (1, 5, 10, 20)
MORE_TALKS: Final = range(6, 31, 3)
TURNS: Final = 3
IN_TIME: Final = 2.5
"""Seconds from last word to first sound that 95 % of all turns of a carried lesson keep."""

MORE_TUTORS: Final = (1, 3, 10, 30)
MOST_WORKERS: Final = 10
"""Of livekit-agents: 30 workers would take 12 GB."""

API_SECONDS: Final = 0.07
SUPERVISOR_SECONDS: Final = 1.0
SETTLED: Final = 8.0
"""Seconds after which idle processes are ready and lessons under way."""

WATCHED: Final = 8.0
"""Seconds over which processor time is taken."""

Found = Mapping[str, Sequence[float]]
"""Values by row."""


@dataclass(frozen=True, slots=True)
class SystemUnderTest:
    """A system, and where it runs.

    Attributes:
        side: What is measured.
        deployment: LiveKit, the API and learners.
        directory: For its files.
    """

    system: System
    deployment: Deployment
    directory: Path

    def running(self, tutors: Sequence[str] = TUTORS) -> AbstractAsyncContextManager[RunningSystem]:
        """Run tutors for the length of a block."""
        return self.system.run(self.deployment, self.directory, tutors)

    @asynccontextmanager
    async def learners(self, count: int) -> AsyncIterator[list[LearnerVisit]]:
        """Enter learners at once, each into a room of their own, for the duration of a block."""
        names = [TUTORS[number % len(TUTORS)] for number in range(count)]
        async with AsyncExitStack() as stack:
            visits = [
                open_visit(self.deployment, name, self.system.agent_name(name)) for name in names
            ]
            yield await asyncio.gather(*map(stack.enter_async_context, visits))


async def rest(under_test: SystemUnderTest) -> Found:
    """Start, wait, and start once more with further tutors."""
    async with under_test.running() as running:
        cpu = running.cpu()
        await asyncio.sleep(SETTLED)
        idle = _memory(running)
    async with under_test.running(TUTORS + FURTHER) as more:
        await asyncio.sleep(SETTLED)
        further = (_memory(more) - idle) / len(FURTHER)
    return {
        "start": [running.seconds],
        "start_cpu": [cpu],
        "idle": [idle],
        "further_tutor": [further],
    }


async def lessons(under_test: SystemUnderTest) -> Found:
    """Run lessons; subtract the memory without them."""
    async with under_test.running() as running:
        [(size, cores)] = await _growth(under_test, running, [LESSONS])
    return {"lesson_memory": [size / LESSONS], "lesson_cores": [cores / LESSONS]}


async def more_lessons(under_test: SystemUnderTest) -> Found:
    """Run an increasing number of lessons at once."""
    async with under_test.running() as running:
        found = await _growth(under_test, running, MORE_LESSONS)
    return {
        f"lessons/{what}/{count}": [value]
        for count, values in zip(MORE_LESSONS, found, strict=False)
        for what, value in zip(("memory", "cores"), values, strict=True)
    }


async def more_tutors(under_test: SystemUnderTest) -> Found:
    """Start with more and more tutors."""
    found: dict[str, list[float]] = {}
    for count in MORE_TUTORS:
        if count <= MOST_WORKERS or under_test.system.name != BARE:
            async with under_test.running([f"tutor{number}" for number in range(count)]) as running:
                await asyncio.sleep(SETTLED)
                found[f"tutors/memory/{count}"] = [_memory(running)]
                found[f"tutors/start/{count}"] = [running.seconds]
    return found


async def _growth(
    under_test: SystemUnderTest, running: RunningSystem, counts: Sequence[int]
) -> Sequence[tuple[float, float]]:
    """Return what so many lessons take of memory and processor above none.

    None ends meanwhile: a job of livekit-agents stays until its room is closed. The numbers of
    which a learner is left alone are left out: there is no room for so many lessons.
    """
    found: list[tuple[float, float]] = []
    visits: list[LearnerVisit] = []
    await asyncio.sleep(SETTLED)
    idle, idle_cores = _memory(running), await _cores(running)
    async with AsyncExitStack() as stack:
        for count in counts:
            while len(visits) < count:  # a few at a time: a burst is another scenario
                few = under_test.learners(min(count - len(visits), len(TUTORS)))
                visits += await stack.enter_async_context(few)
                await asyncio.gather(*(visit.wait_for_tutor() for visit in visits))
            await asyncio.sleep(SETTLED)
            cores, memory = await _cores(running), _memory(running)
            if not all(visit.taught for visit in visits):
                break
            found.append((memory - idle, cores - idle_cores))
    return found


async def entering(under_test: SystemUnderTest) -> Found:
    """Enter one learner after another, beside an API that takes its time."""
    slow = {"kind": "latency", "seconds": API_SECONDS}
    async with under_test.running():
        await asyncio.sleep(SETTLED)
        async with under_test.deployment.api.misbehaving(slow):
            met = [await _one(under_test) for _ in range(VISITS)]
    return {"listening": [it.listening for it in met], "first_sound": [it.sound for it in met]}


async def _one(under_test: SystemUnderTest) -> TutorHeard:
    async with under_test.learners(1) as [visit]:
        return _since(visit.entered, await visit.wait_for_tutor())


async def real_time(under_test: SystemUnderTest) -> Found:
    """Add talking learners until 5 % of their turns are not answered in time."""
    found: dict[int, float] = {}
    async with under_test.running(), AsyncExitStack() as stack:
        await asyncio.sleep(SETTLED)
        visits: list[LearnerVisit] = []
        for count in MORE_TALKS:
            more = await stack.enter_async_context(under_test.learners(count - len(visits)))
            await asyncio.gather(*(visit.wait_for_tutor() for visit in more))
            visits += more
            found[count] = _p95(await replies(visits, TURNS))
            if found[count] > IN_TIME:
                break
    carried = [count for count, seconds in found.items() if seconds <= IN_TIME]
    by_count = {f"talks/reply/{count}": [seconds] for count, seconds in found.items()}
    return {"carried": [max(carried, default=0)], **by_count}


async def burst(under_test: SystemUnderTest) -> Found:
    """Enter many learners at once."""
    async with under_test.running():
        await asyncio.sleep(SETTLED)
        async with under_test.learners(BURST) as visits:
            met = await asyncio.gather(*(visit.wait_for_tutor() for visit in visits))
    met = [_since(visit.entered, it) for visit, it in zip(visits, met, strict=True)]
    served = [it for it in met if it.listening < NEVER]
    return {
        "burst_listening_p95": [_p95([it.listening for it in served])],
        "burst_sound": [median([it.sound for it in served] or [NEVER])],
        "burst_sound_p95": [_p95([it.sound for it in served])],
        "burst_alone": [len(met) - len(served)],
    }


async def job_killed(under_test: SystemUnderTest) -> Found:
    """Kill the processes in which lessons run, one after another; once nobody came, nobody will."""
    met: list[TutorHeard] = []
    async with under_test.running() as running:
        while len(met) < KILLED_JOBS and NEVER not in (it.listening for it in met):
            met.append(await _job_killed(under_test, running))
    return {
        "job_killed_listening": [it.listening for it in met],
        "job_killed_sound": [it.sound for it in met],
    }


async def _job_killed(under_test: SystemUnderTest, running: RunningSystem) -> TutorHeard:
    async with under_test.learners(1) as visits:
        await visits[0].wait_for_tutor()
        await asyncio.sleep(SETTLED)
        jobs, known, killed = in_rooms(running.roots), _known(visits), _now()
        for job in jobs:
            job.kill()
        [met] = await _wait_for_tutor_again(known, killed)
    return met


async def host_killed(under_test: SystemUnderTest) -> Found:
    """Kill what was started, and start it again as a supervisor would."""
    async with under_test.running() as running, under_test.learners(LEFT_BY_HOST) as visits:
        await asyncio.gather(*(visit.wait_for_tutor() for visit in visits))
        await asyncio.sleep(SETTLED)
        known, killed = _known(visits), _now()
        running.kill()
        await asyncio.sleep(SUPERVISOR_SECONDS)
        async with under_test.running():
            met = await _wait_for_tutor_again(known, killed)
    return {
        "host_killed_listening": [median(it.listening for it in met)],
        "host_killed_sound": [median(it.sound for it in met)],
        "host_killed_sound_p95": [_p95([it.sound for it in met])],
    }


def _known(visits: Sequence[LearnerVisit]) -> list[tuple[LearnerVisit, frozenset[str]]]:
    return [(visit, visit.tutors) for visit in visits]


async def _wait_for_tutor_again(
    known: Sequence[tuple[LearnerVisit, frozenset[str]]], since: float
) -> list[TutorHeard]:
    met = await asyncio.gather(*(visit.wait_for_tutor(but=tutors) for visit, tutors in known))
    return [_since(since, it) for it in met]


def _since(moment: float, met: TutorHeard) -> TutorHeard:
    return TutorHeard(met.listening - moment, met.sound - moment)


def _p95(values: Sequence[float]) -> float:
    """Return what one value in twenty exceeds, the longest of fewer."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1] if values else NEVER


def _memory(running: RunningSystem) -> int:
    """Return the bytes that a side has, each shared page in parts."""
    return sum(map(pss, running.roots))


async def _cores(running: RunningSystem) -> float:
    before = running.cpu()
    await asyncio.sleep(WATCHED)
    return (running.cpu() - before) / WATCHED


def _now() -> float:
    return asyncio.get_running_loop().time()


Scenario = Callable[[SystemUnderTest], Awaitable[Found]]

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "rest": rest,
    "lessons": lessons,
    "entering": entering,
    "burst": burst,
    "real-time": real_time,
    "job-killed": job_killed,
    "host-killed": host_killed,
    "more-lessons": more_lessons,
    "more-tutors": more_tutors,
}
