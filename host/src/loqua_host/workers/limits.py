"""Enforcement of tutors' limits on the memory and CPU time of their processes."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

import psutil
import structlog

from loqua_host.core.clock import Clock
from loqua_host.lessons.tutors import RunningTutor
from loqua_host.livekit_internals import JobProcessStatus

__all__ = ["LimitWatch", "ProcessUsage", "kill_job", "read_usage"]

log = structlog.get_logger()

POLL_SECONDS: Final = 1.0

WINDOW: Final = 30
"""Number of measurements over which CPU time is averaged: a start or an answer may take a CPU for
seconds."""

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """The resource usage of a process.

    Attributes:
        cpu_seconds: CPU seconds since its start, with those of its children that have ended.
        memory: Bytes that are resident.
    """

    cpu_seconds: float
    memory: int


class LimitedWorker(Protocol):
    """The interface of a tutor's worker for its limits."""

    @property
    def tutor(self) -> RunningTutor:
        """The tutor."""

    def processes(self) -> Iterable[JobProcessStatus]:
        """Return the processes that run or wait for a job."""


@dataclass(slots=True)
class _History:
    looks: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=WINDOW + 1))
    killed: bool = False


class LimitWatch:
    """Kill processes of tutors that use more than `limits:` in their tutor's file.

    The kernel refuses private memory above the limit (see `Sandbox`); shared memory is only seen
    here.

    Args:
        workers: Returns the workers.
        read: Returns what a process uses, None if it has ended.
        kill: Kills a process.
        clock: The clock.
    """

    def __init__(
        self,
        workers: Callable[[], Iterable[LimitedWorker]],
        read: Callable[[int], ProcessUsage | None],
        kill: Callable[[int], None],
        clock: Clock,
    ) -> None:
        self._workers = workers
        self._read = read
        self._kill = kill
        self._clock = clock
        self._histories: dict[int, _History] = {}

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await self._clock.sleep(POLL_SECONDS)
            self._look()

    def _look(self) -> None:
        before, self._histories = self._histories, {}
        for worker in self._workers():
            for process in worker.processes():
                history = before.get(process.pid) or _History()
                self._histories[process.pid] = history
                if (usage := self._read(process.pid)) and not history.killed:
                    history.looks.append((self._clock.monotonic(), usage.cpu_seconds))
                    self._judge(worker.tutor, process, history, usage)

    def _judge(
        self, tutor: RunningTutor, process: JobProcessStatus, history: _History, usage: ProcessUsage
    ) -> None:
        for limit, used, allowed in _exceeded(tutor, history, usage):
            log.error(
                "job.over_limit",
                tutor=tutor.name,
                job_id=process.job_id,
                pid=process.pid,
                limit=limit,
                used=used,
                allowed=allowed,
                hint=f"correct the tutor, or raise limits.{limit} in its file",
            )
            self._kill(process.pid)
            history.killed = True
            return


def _exceeded(
    tutor: RunningTutor, history: _History, usage: ProcessUsage
) -> Iterator[tuple[str, float, float]]:
    """Yield each exceeded limit with what is used and allowed."""
    limits = tutor.job.tutor.limits
    memory = round(usage.memory / MEGABYTE)
    if memory > limits.memory:
        yield "memory", memory, limits.memory
    (began, at_first), (now, at_last) = history.looks[0], history.looks[-1]
    if len(history.looks) > WINDOW:
        used = round((at_last - at_first) / (now - began), 2)
        if used > limits.cpu:
            yield "cpu", used, limits.cpu


def read_usage(pid: int) -> ProcessUsage | None:
    """Return what a process uses, None if it has ended."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times, memory = process.cpu_times(), process.memory_info()
    except psutil.Error:
        return None
    return ProcessUsage(sum(times[:4]), memory.rss)


def kill_job(pid: int) -> None:
    """Kill a process that LiveKit's pool still has."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
