"""Time that a process waits for a processor, on a machine that has too few of them."""

import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["seconds_served", "seconds_waited"]


def seconds_waited(pid: int) -> float:
    """Return the seconds for which the main thread of a process could have run, but others did.

    Linux counts them (proc(5), `schedstat`); where nobody does, it is 0.

    Args:
        pid: The process.
    """
    try:
        _ran, waited, _times = Path(f"/proc/{pid}/schedstat").read_text("ascii").split()
    except (OSError, ValueError):
        return 0.0
    return int(waited) / 1e9


def seconds_served(
    clock: Callable[[], float] = time.monotonic,
    waited: Callable[[], float] = lambda: seconds_waited(os.getpid()),
) -> float:
    """Return a time in seconds that stands still while this process waits for a processor.

    On a busy machine, such waits are no fault of the code that runs. One between the readings of
    the two clocks would be in one of them only, so both are read again.

    Args:
        clock: Returns monotonic seconds.
        waited: Returns the seconds for which the process has waited.
    """
    before = waited()
    while True:
        now = clock()
        if (after := waited()) == before:
            return now - after
        before = after
