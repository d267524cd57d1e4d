"""Time that a process waits for a processor."""

import os
import subprocess
import sys
import time

from loqua_host.system.processor import seconds_served, seconds_waited

BUSY = "import os; os.sched_setaffinity(0, {cpu}); exec('while True: pass')"


def test_processes_that_share_a_processor_wait_for_it() -> None:
    """Each waits while the other runs."""
    command = (sys.executable, "-c", BUSY.format(cpu={min(os.sched_getaffinity(0))}))
    busy = [subprocess.Popen(command) for _ in range(2)]  # noqa: S603  # the test's own
    try:
        until = time.monotonic() + 60
        while min(seconds_waited(one.pid) for one in busy) < 0.1:
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        for one in busy:
            one.kill()
            one.wait()


def test_a_process_that_is_gone_waits_no_longer() -> None:
    """Nor does anything where no kernel counts."""
    assert seconds_waited(2**30) == 0.0


def test_a_wait_for_a_processor_between_two_clocks_is_no_time_served() -> None:
    """The clock has what the count of waits does not have yet; so both are read again."""
    moments, waits = iter((10.0, 13.0)), iter((0.0, 3.0, 3.0))

    assert seconds_served(lambda: next(moments), lambda: next(waits)) == 10.0
