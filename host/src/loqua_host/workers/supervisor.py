"""All workers of a host: each kept running, replaced and stopped for itself."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection

import structlog

from loqua_host.settings.secrets import LiveKitKey

from .roster import Roster
from .worker import TutorWorker

__all__ = ["Supervisor"]

log = structlog.get_logger()

LONGEST_PAUSE = 30.0

REGISTER_SECONDS = 10.0
"""How long a worker waits for its successor to be registered; where that is LiveKit's fault, it
has no place in the world either."""

WrapUp = Callable[[Collection[str], str], Awaitable[None]]
"""Tells the lessons of these jobs, by id, to end politely for this reason."""


class Supervisor:
    """Keeps workers running until they leave.

    Args:
        roster: Where it enters them.
        wrap_up: How lessons hear that their worker leaves.
        tasks: Owns the running workers.
        jitter: A random number from 0 to 1, so that hosts do not come back in step.
    """

    def __init__(
        self,
        roster: Roster,
        wrap_up: WrapUp,
        tasks: asyncio.TaskGroup,
        jitter: Callable[[], float],
    ) -> None:
        self._roster = roster
        self._wrap_up = wrap_up
        self._tasks = tasks
        self._jitter = jitter
        self._departures: set[asyncio.Task[None]] = set()

    def hire(self, worker: TutorWorker) -> None:
        """Run a worker from now on; one that fails is run again after a pause."""
        self._roster.add(worker)
        self._tasks.create_task(self._keep(worker))

    def adopt(self, key: LiveKitKey) -> None:
        """Have all workers register with another key from the next time on."""
        for worker in self._roster.workers:
            worker.adopt(key)

    async def registered(self) -> None:
        """Wait until every worker is registered at LiveKit, or leaves."""
        for worker in self._roster.workers:
            await _first(worker.registered, worker.leaving)

    async def replace(self, worker: TutorWorker, reason: str, seconds: float) -> None:
        """Have a worker take over for its tutor; comes back when it takes the jobs.

        The one before takes no more from then on, and leaves as `retire` says.
        """
        before = self._roster.serving(worker.tutor.name)
        self.hire(worker)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(REGISTER_SECONDS):
                await worker.registered.wait()
        for one in before:
            self._dismiss(one, reason, seconds)

    def retire(self, tutor: str, reason: str, seconds: float) -> None:
        """Have a tutor take no new jobs; its worker closes when the running ones have ended.

        Args:
            tutor: The tutor's name.
            reason: Why its lessons are told to end.
            seconds: How long they may take.
        """
        for worker in self._roster.serving(tutor):
            self._dismiss(worker, reason, seconds)

    async def stop(self, reason: str, seconds: float) -> None:
        """Retire all workers side by side, and wait until the last has left."""
        for tutor in tuple(self._roster.tutors):
            self.retire(tutor, reason, seconds)
        while self._departures:
            await asyncio.wait(self._departures)

    def hurry(self) -> None:
        """Have the workers that leave wait for their jobs no longer."""
        for worker in self._roster.workers:
            worker.hurry()

    def _dismiss(self, worker: TutorWorker, reason: str, seconds: float) -> None:
        worker.leaving.set()
        departure = self._tasks.create_task(self._leave(worker, reason, seconds))
        self._departures.add(departure)
        departure.add_done_callback(self._departures.discard)

    async def _leave(self, worker: TutorWorker, reason: str, seconds: float) -> None:
        structlog.contextvars.bind_contextvars(agent_id=worker.tutor.agent_id)
        log.info("worker.leaving", tutor=worker.tutor.name, why=reason, jobs=worker.busy)
        try:
            await self._wrap_up(worker.jobs, reason)
            await worker.stop(seconds)
        except Exception as error:  # noqa: BLE001  # LiveKit raises bare RuntimeError and more
            log.error("worker.failed", tutor=worker.tutor.name, why=str(error))
        finally:
            self._roster.remove(worker)
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
            log.error("worker.failed", tutor=worker.tutor.name, why=why, pause=pause)
            await self._rest(worker, pause)

    async def _rest(self, worker: TutorWorker, seconds: float) -> None:
        """Wait so long, unless the worker leaves meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await worker.leaving.wait()


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
