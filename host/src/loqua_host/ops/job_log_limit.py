"""A limit on the log output of job processes."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

__all__ = ["JobLogLimit"]

log = structlog.get_logger()

MINUTE: Final = 60.0
KILOBYTE: Final = 1000
STANDARD: Final = frozenset(vars(logging.makeLogRecord({})))


@dataclass(slots=True)
class _JobWindow:
    begun: float
    allowed: int
    job_id: str | None = None
    logged: int = 0
    reported: bool = False


class JobLogLimit(logging.Filter):
    """Drop log lines of a job beyond its tutor's limit, and report the drops once a minute.

    Args:
        limit_of: Returns how many kilobytes a job may log in a minute, by its id; None is a process
            that waits for one.
        monotonic: A monotonic clock, in seconds.
    """

    def __init__(
        self, limit_of: Callable[[str | None], int], monotonic: Callable[[], float]
    ) -> None:
        super().__init__()
        self._limit_of = limit_of
        self._monotonic = monotonic
        self._windows: dict[int, _JobWindow] = {}
        self._lock = threading.Lock()  # each job's log is read in a thread of its own

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write a record; those of the host itself always are."""
        pid = getattr(record, "pid", None)  # set by LiveKit, not by the job
        if not isinstance(pid, int):
            return True
        job_id = getattr(record, "job_id", None)
        with self._lock:
            window = self._window(pid, job_id)
            window.logged += _size(record)
            fits = window.logged <= window.allowed * KILOBYTE
            first, window.reported = not (fits or window.reported), window.reported or not fits
        if first:
            log.warning(
                "job.log_limited",
                pid=pid,
                job_id=window.job_id,
                room=getattr(record, "room", None),
                allowed=window.allowed,
                hint="the rest of this minute is dropped: log less, or raise limits.log in the "
                "tutor's file",
            )
        return fits

    def _window(self, pid: int, job_id: str | None) -> _JobWindow:
        now = self._monotonic()
        if pid not in self._windows or now - self._windows[pid].begun >= MINUTE:
            recent = {key: it for key, it in self._windows.items() if now - it.begun < MINUTE}
            self._windows = recent | {pid: _JobWindow(now, self._limit_of(None))}
        window = self._windows[pid]
        if job_id and window.job_id is None:  # a warm process may log before its job arrives
            window.job_id, window.allowed = job_id, self._limit_of(job_id)
        return window


def _size(record: logging.LogRecord) -> int:
    """Return about how many characters a record has in the log."""
    fields = (str(value) for name, value in vars(record).items() if name not in STANDARD)
    return len(str(record.msg)) + sum(map(len, fields))
