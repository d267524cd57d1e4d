"""The registry of a host's workers: their jobs and free capacity."""

from collections.abc import Mapping
from types import MappingProxyType

from loqua_host.errors import LinkError
from loqua_host.lessons.departure import Departure
from loqua_host.lessons.tutors import RunningTutor
from loqua_host.link.server import JobRef

from .worker import TutorWorker

__all__ = ["WorkerRegistry"]


class WorkerRegistry:
    """The workers of the host. A tutor has several workers during a replacement.

    Attributes:
        tutors: The current tutors that have a worker, by name.
    """

    def __init__(self) -> None:
        self._workers: list[TutorWorker] = []
        self._tutors: dict[str, RunningTutor] = {}
        self.tutors: Mapping[str, RunningTutor] = MappingProxyType(self._tutors)

    @property
    def workers(self) -> tuple[TutorWorker, ...]:
        """All workers, running or not, the newest of a tutor last."""
        return tuple(self._workers)

    @property
    def busy(self) -> int:
        """The number of running and starting jobs, including those of draining workers."""
        return sum(worker.busy for worker in self._workers)

    def jobs(self) -> list[tuple[str, str]]:
        """List the ids of running and starting jobs, each with its tutor."""
        return [(job, worker.tutor.name) for worker in self._workers for job in worker.jobs]

    def serving(self, tutor: str) -> tuple[TutorWorker, ...]:
        """Return the workers that accept jobs for a tutor."""
        return tuple(
            one for one in self._workers if one.tutor.name == tutor and not one.leaving.is_set()
        )

    def add(self, worker: TutorWorker) -> None:
        """Add a worker, whose tutor becomes the current one of its name."""
        self._workers.append(worker)
        self._tutors[worker.tutor.name] = worker.tutor

    def remove(self, worker: TutorWorker) -> None:
        """Remove a worker, and with a tutor's last worker the tutor."""
        self._workers.remove(worker)
        if all(one.tutor.name != worker.tutor.name for one in self._workers):
            del self._tutors[worker.tutor.name]

    def job_limits(self) -> dict[str, int]:
        """Return the free capacity of each tutor that accepts jobs, 0 if its worker is stuck.

        Jobs of a draining worker count until they end.
        """
        return {name: self._free(name) for name in self._tutors if self.serving(name)}

    def departure_of(self, job_id: str) -> Departure | None:
        """Return the departure of a job's worker, if it drains."""
        return next((one.departure for one in self._workers if job_id in one.jobs), None)

    def authorise(self, token: str, pid: int) -> JobRef:
        """Return the job that was assigned this token and runs in the process `pid`.

        Raises:
            LinkError: If no running job of this host has both.
        """
        for worker in self._workers:
            if job := worker.find_job(token, pid):
                return job
        raise LinkError("no running job has this token and this process")

    def _free(self, tutor: str) -> int:
        if not any(one.online and not one.stuck for one in self.serving(tutor)):
            return 0
        taken = sum(one.busy for one in self._workers if one.tutor.name == tutor)
        return max(0, self._tutors[tutor].max_jobs - taken)
