"""All workers of a host: started together, each restarted alone, stopped together."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

import structlog

from loqua_host.errors import LinkError
from loqua_host.link.server import JobRef
from loqua_host.settings.secrets import LiveKitKey

from .worker import TutorWorker

__all__ = ["Supervisor"]

log = structlog.get_logger()

LONGEST_PAUSE = 30.0


class Supervisor:
    """Keeps the workers running until they are stopped.

    Args:
        workers: One for each tutor.
        jitter: A random number from 0 to 1, so that hosts do not come back in step.
    """

    def __init__(self, workers: Sequence[TutorWorker], jitter: Callable[[], float]) -> None:
        self._workers = workers
        self._jitter = jitter
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run all workers until `stop`; one that fails is run again after a pause."""
        async with asyncio.TaskGroup() as tasks:
            for worker in self._workers:
                tasks.create_task(self._keep(worker))

    @property
    def workers(self) -> tuple[TutorWorker, ...]:
        """All workers, running or not."""
        return tuple(self._workers)

    def places(self) -> dict[str, int]:
        """Count for each tutor the jobs that its worker has places for."""
        return {worker.tutor.name: worker.places for worker in self.workers}

    def adopt(self, key: LiveKitKey) -> None:
        """Have all workers register with another key from the next time on."""
        for worker in self._workers:
            worker.adopt(key)

    async def registered(self) -> None:
        """Wait until every worker is registered at LiveKit."""
        for worker in self._workers:
            await worker.registered.wait()

    async def stop(self, seconds: float) -> None:
        """Stop all workers: no new jobs, and at most so long for the running ones."""
        self._stopping.set()
        async with asyncio.TaskGroup() as tasks:
            for worker in self._workers:
                tasks.create_task(worker.stop(seconds))

    def authorise(self, token: str, pid: int) -> JobRef:
        """Get the job that was assigned this token and runs in this process.

        Raises:
            LinkError: If no running job of this host has both.
        """
        for worker in self._workers:
            if job := worker.find_job(token, pid):
                return job
        raise LinkError("no running job has this token and this process")

    async def _keep(self, worker: TutorWorker) -> None:
        failures = 0
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            try:
                await worker.run()
            except Exception as error:  # noqa: BLE001  # LiveKit raises bare RuntimeError and more
                served = asyncio.get_running_loop().time() - began
                failures = 1 if served > LONGEST_PAUSE else failures + 1
                pause = min(2.0 ** min(failures, 10) / 2, LONGEST_PAUSE) * (0.5 + self._jitter())
                log.error("worker.failed", tutor=worker.tutor.name, why=str(error), pause=pause)
                await self._rest(pause)

    async def _rest(self, seconds: float) -> None:
        """Wait so long, unless the host stops meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
