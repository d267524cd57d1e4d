"""LiveKit's pool of job processes, which starts them again at a bearable pace.

Where none can be started, LiveKit tries ten times a second, for each tutor (livekit-agents 1.8.9,
ipc/proc_pool.py).
"""

import asyncio
from weakref import WeakKeyDictionary

import structlog
from livekit.agents.ipc.proc_pool import ProcPool

__all__ = ["failures_in_a_row", "pace_starts"]

log = structlog.get_logger()

LONGEST_PAUSE = 30.0

_failures: WeakKeyDictionary[ProcPool, int] = WeakKeyDictionary()
_start = ProcPool._proc_spawn_task  # noqa: SLF001  # LiveKit has no other place for it


def pace_starts() -> None:
    """Have every pool wait after a process that did not get ready, longer each time."""
    ProcPool._proc_spawn_task = start_at_a_pace  # type: ignore[assignment, method-assign]  # noqa: SLF001  # as above


def failures_in_a_row(pool: ProcPool) -> int:
    """Return how many processes failed to get ready since one last did."""
    return _failures.get(pool, 0)


async def start_at_a_pace(pool: ProcPool) -> None:
    """Start a process; after one that did not get ready, return only when the next may be tried.

    A pool starts no more than it lacks, and those that are under way count.
    """
    ready = asyncio.Event()

    def note(_process: object) -> None:
        ready.set()

    pool.on("process_ready", note)
    try:
        await _start(pool)
    finally:
        pool.off("process_ready", note)
    if ready.is_set():
        _failures.pop(pool, None)
    else:
        failures = _failures[pool] = failures_in_a_row(pool) + 1
        pause = min(2.0 ** min(failures, 10) / 2, LONGEST_PAUSE)
        log.error("job.process_failed", in_a_row=failures, again_in=pause)
        await asyncio.sleep(pause)
