"""The workers of a host as they come and go: whose jobs run here, and what places are free."""

from collections.abc import Mapping
from types import MappingProxyType

from loqua_host.errors import LinkError
from loqua_host.lessons.departure import Departure
from loqua_host.lessons.tutors import RunningTutor
from loqua_host.link.server import JobRef

from .worker import TutorWorker

__all__ = ["WorkerRegistry"]


class WorkerRegistry:
    """Who works here; a tutor has several workers while one takes over from another.

    Attributes:
        tutors: The tutors that have a worker, by name, as they are now.
    """

    def __init__(self) -> None:
        self._workers: list[TutorWorker] = []
        self._tutors: dict[str, RunningTutor] = {}
        self.tutors: Mapping[str, RunningTutor] = MappingProxyType(self._tutors)

    @property
    def workers(self) -> tuple[TutorWorker, ...]:
        """All workers, running or not, the latest of a tutor last."""
        return tuple(self._workers)

    @property
    def busy(self) -> int:
        """Jobs that run or are about to, those of leaving workers too."""
        return sum(worker.busy for worker in self._workers)

    def jobs(self) -> list[tuple[str, str]]:
        """List the ids of the jobs that run or are about to, each with its tutor."""
        return [(job, worker.tutor.name) for worker in self._workers for job in worker.jobs]

    def serving(self, tutor: str) -> tuple[TutorWorker, ...]:
        """Return the workers that take jobs for a tutor."""
        return tuple(
            one for one in self._workers if one.tutor.name == tutor and not one.leaving.is_set()
        )

    def add(self, worker: TutorWorker) -> None:
        """Take a worker in; its tutor is as it says from now on."""
        self._workers.append(worker)
        self._tutors[worker.tutor.name] = worker.tutor

    def remove(self, worker: TutorWorker) -> None:
        """Remove a worker; its tutor goes with the last one."""
        self._workers.remove(worker)
        if all(one.tutor.name != worker.tutor.name for one in self._workers):
            del self._tutors[worker.tutor.name]

    def places(self) -> dict[str, int]:
        """Count the free places of each tutor that takes jobs; none of one that could teach nobody.

        Jobs of a worker that is leaving take a place each until they end.
        """
        return {name: self._free(name) for name in self._tutors if self.serving(name)}

    def departure_of(self, job_id: str) -> Departure | None:
        """Return when the worker of a job leaves, if it does."""
        return next((one.departure for one in self._workers if job_id in one.jobs), None)

    def authorise(self, token: str, pid: int) -> JobRef:
        """Return the job that was assigned this token and runs in this process.

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
