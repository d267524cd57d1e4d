"""A plugin whose import succeeds at inspection and hangs in jobs."""

import time
from multiprocessing import current_process

from . import Probe

__all__ = ["tutor"]

if current_process().name == "job_proc":
    time.sleep(1e6)

tutor = Probe("probe-hanging", "probe-hanging")
