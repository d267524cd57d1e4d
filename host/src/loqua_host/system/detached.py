"""Detachment of job processes from the signals to the host's process group or service.

A terminal's Ctrl-C goes to every process of the group, and systemd's SIGTERM to every process of
the service (systemd.kill(5), KillMode=control-group). The host alone ends the others, once their
lessons are over. This module takes effect where it is imported, as in the process that jobs are
forked from.
"""

import signal
from types import FrameType

__all__ = ["ignore"]


def ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN this is not passed on to programs that a tutor starts."""


for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, ignore)
