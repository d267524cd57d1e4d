"""Supervision of a host's workers: restart, replacement, drain."""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from typing import Protocol

import structlog

from loqua_host.lessons.departure import Departure
from loqua_host.settings.secrets import LiveKitKey
from loqua_host.system.tasks import background, first_of

from .metrics import WorkerMetrics
from .registry import WorkerRegistry
from .worker import TutorWorker

__all__ = ["Supervisor"]

log = structlog.get_logger()

LONGEST_PAUSE = 30.0

REGISTER_SECONDS = 10.0
"""Seconds that a worker waits for its successor's registration. If that fails because LiveKit is
down, the old worker is down too."""

SLOWER_SECONDS = 5.0
"""Seconds between the registrations of a host's first and last worker on a busy machine."""


class LessonControl(Protocol):
    """The lessons of jobs, by the jobs' ids."""

    async def announce_departure(self, jobs: Collection[str]) -> None:
        """Notify these lessons of the deadline, now that their worker leaves."""

    async def cut_off(self, jobs: Collection[str]) -> None:
        """Interrupt these lessons now."""


class Supervisor:
    """Run workers until they leave.

    Args:
        registry: The registry of workers.
        lessons: Notified when their worker drains.
        tasks: Owns the running workers.
        jitter: Returns a random number from 0 to 1, so that hosts do not reconnect at once.
    """

    def __init__(
        self,
        registry: WorkerRegistry,
        lessons: LessonControl,
        tasks: asyncio.TaskGroup,
        jitter: Callable[[], float],
        metrics: WorkerMetrics,
    ) -> None:
        self._registry = registry
        self._lessons = lessons
        self._tasks = tasks
        self._jitter = jitter
        self._metrics = metrics
        self._departures: set[asyncio.Task[None]] = set()

    def start(self, worker: TutorWorker) -> None:
        """Start a worker. If it fails, restart it after a pause."""
        self._registry.add(worker)
        self._tasks.create_task(self._keep(worker))

    def use_key(self, key: LiveKitKey) -> None:
        """Make all workers use another API key from their next registration on."""
        for worker in self._registry.workers:
            worker.use_key(key)

    async def registered(self) -> None:
        """Wait until every worker is registered with LiveKit, or drains.

        Once one is, wait a few seconds at most for the others: a tutor that hangs while its job
        processes import it must not keep the learners of the others waiting.
        """
        async with background() as waiting:
            workers = [
                waiting.create_task(first_of(one.registered, one.leaving))
                for one in self._registry.workers
            ]
            if workers:
                await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait(workers, timeout=SLOWER_SECONDS)

    async def replace(self, worker: TutorWorker, reason: str, seconds: float) -> None:
        """Replace a tutor's worker; return when the new one takes its jobs.

        The old worker then accepts no more jobs and drains.
        """
        before = self._registry.serving(worker.tutor.name)
        self.start(worker)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REGISTER_SECONDS):
                await worker.registered.wait()
        for one in before:
            self._dismiss(one, Departure.within(seconds, reason))

    def drain(self, tutor: str, reason: str, seconds: float) -> None:
        """Drain a tutor: no new jobs; its worker closes when the running ones have ended.

        Args:
            tutor: The tutor's name.
            reason: The reason for lessons that are not over in time.
            seconds: How long lessons may continue.
        """
        for worker in self._registry.serving(tutor):
            self._dismiss(worker, Departure.within(seconds, reason))

    async def stop(self, reason: str, seconds: float) -> None:
        """Stop all workers concurrently, and wait for the last.

        Workers that drain already have no more time than the others. A second call with less time
        shortens that of the first.
        """
        departure = Departure.within(seconds, reason)
        for worker in self._registry.workers:
            self._dismiss(worker, departure)
        while self._departures:
            await asyncio.wait(self._departures)

    def _dismiss(self, worker: TutorWorker, departure: Departure) -> None:
        began = worker.leaving.is_set()
        worker.leave(departure)
        work = self._announce(worker) if began else self._leave(worker, departure)
        task = self._tasks.create_task(work)
        self._departures.add(task)
        task.add_done_callback(self._departures.discard)

    async def _announce(self, worker: TutorWorker) -> None:
        await self._lessons.announce_departure(worker.jobs)

    async def _leave(self, worker: TutorWorker, departure: Departure) -> None:
        structlog.contextvars.bind_contextvars(agent_id=worker.tutor.agent_id)
        log.info("worker.leaving", tutor=worker.tutor.name, why=departure.reason, jobs=worker.busy)
        try:
            await self._lessons.announce_departure(worker.jobs)
            try:
                await worker.drain()
            except TimeoutError:
                log.warning("worker.drain_cut_off", tutor=worker.tutor.name, jobs=worker.busy)
                await self._lessons.cut_off(worker.jobs)
            await worker.close()
        except Exception as error:  # noqa: BLE001  # LiveKit raises bare RuntimeError and more
            self._metrics.failures.labels(worker.tutor.name).inc()
            log.error("worker.failed", tutor=worker.tutor.name, why=str(error))
        finally:
            self._registry.remove(worker)
        log.info("worker.left", tutor=worker.tutor.name)

    async def _keep(self, worker: TutorWorker) -> None:
        structlog.contextvars.bind_contextvars(agent_id=worker.tutor.agent_id)
        failures = 0
        while not worker.leaving.is_set():
            began, why = asyncio.get_running_loop().time(), "it ended by itself"
            try:
                await worker.run()
            except Exception as error:  # noqa: BLE001  # LiveKit raises bare RuntimeError and more
                why = str(error)
            if worker.leaving.is_set():
                return
            served = asyncio.get_running_loop().time() - began
            failures = 1 if served > LONGEST_PAUSE else failures + 1
            pause = min(2.0 ** min(failures, 10) / 2, LONGEST_PAUSE) * (0.5 + self._jitter())
            self._metrics.failures.labels(worker.tutor.name).inc()
            log.error("worker.failed", tutor=worker.tutor.name, why=why, pause=pause)
            await self._rest(worker, pause)

    async def _rest(self, worker: TutorWorker, seconds: float) -> None:
        """Wait these seconds, or until the worker drains."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await worker.leaving.wait()
