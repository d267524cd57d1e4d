"""Processes forked from the jobs' forkserver, each with a socket to the host."""

import multiprocessing
import socket
from collections.abc import Callable
from multiprocessing.popen_forkserver import Popen

__all__ = ["start_child"]


def start_child(target: Callable[[socket.socket], None]) -> tuple[socket.socket, Popen]:
    """Start a process that runs a function with its end of a socket; returns the other end.

    `Process.start` polls all child processes (multiprocessing.process._cleanup), which would race
    with the code that waits for the end of a job.

    Raises:
        OSError, EOFError: If no process can be started.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        context = multiprocessing.get_context("forkserver")
        try:
            return ours, Popen(context.Process(target=target, args=(theirs,)))
        except BaseException:
            ours.close()
            raise
