"""Execution of foreign code in a child process, with the end of everything that it starts.

A daemonised process (a second fork(2), setsid(2)) leaves its parent's group. When its parents have
ended, it becomes a child of the nearest subreaper (prctl(2), PR_SET_CHILD_SUBREAPER), which needs
no privilege.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Never

import psutil

__all__ = ["run_and_reap"]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def run_and_reap(work: Callable[[], Never]) -> Never:
    """Run `work` in a child; when it ends or SIGTERM comes, end everything that it started.

    Then this process ends with the child's status. In the child, exceptions of `work` propagate.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)  # sent when the host is killed
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        work()
    process = os.pidfd_open(child)
    signal.signal(signal.SIGTERM, lambda *_: _kill(process))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    _, status = os.waitpid(child, 0)
    while children := psutil.Process().children():
        _end(children)
    _end_as(status)


def _kill(process: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, signal.SIGKILL)


def _end(children: list[psutil.Process]) -> None:
    """Kill these processes; their own children become children of this process."""
    for child in children:
        with suppress(psutil.Error):
            child.kill()
    for child in children:
        with suppress(ChildProcessError):
            os.waitpid(child.pid, 0)


def _end_as(status: int) -> Never:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        # the child has written its core file, if enabled
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with suppress(OSError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))
