"""Metrics of workers: jobs and failures."""

from loqua_host.observability.metrics import Instruments

__all__ = ["WorkerMetrics"]


class WorkerMetrics:
    """The counters of workers."""

    def __init__(self, instruments: Instruments) -> None:
        counter = instruments.counter
        self.jobs_accepted = counter("jobs_accepted", "Jobs taken", "tutor")
        self.jobs_refused = counter(
            "jobs_refused", "Jobs not taken", "tutor", why=("elsewhere", "full", "leaving")
        )
        self.failures = counter("worker_failures", "Workers that ended", "tutor")
