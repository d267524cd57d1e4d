"""The process that becomes the forkserver, forked from the host.

multiprocessing starts its forkserver as a new program, which imports LiveKit beside the host: 1.5 s
of processor time and 80 MB, both twice. Here the host imports what it has in common with its jobs,
once, and forks. The child goes on to import what jobs alone need; when the host knows from its
configuration how to start the forkserver, the child runs what multiprocessing would have run in the
new program.

Fork before this process has read a secret, started a thread or opened a connection.
"""

import ctypes
import fcntl
import gc
import os
import pickle
import socket
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import resource_tracker, util
from typing import Any, Never

__all__ = ["Zygote", "fork_zygote"]

NAME = b"forkserver"
"""The name of the process in `ps -o comm`; its arguments are those of the host."""

PR_SET_NAME = 15
LIMIT = 100_000
"""Maximum bytes of a command."""


@dataclass(frozen=True, slots=True)
class _Command:
    """The command to run, its environment and its open file descriptors."""

    code: str
    environ: dict[str, str]
    descriptors: tuple[int, ...]


class Zygote:
    """A process that waits to become the forkserver; it ends when this one does.

    Args:
        pid: Its id; it is a child of this process.
        channel: The connection to it.
    """

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self._channel = channel

    @contextmanager
    def as_forkserver(self) -> Iterator[None]:
        """Make multiprocessing take this process for the forkserver that it starts in the block."""
        resource_tracker.ensure_running()  # before the patch, because it is started in the same way
        spawn = util.spawnv_passfds
        util.spawnv_passfds = self._run
        try:
            yield
        finally:
            util.spawnv_passfds = spawn

    def _run(self, path: bytes, args: Sequence[Any], passfds: Sequence[int]) -> int:
        del path
        command = _Command(args[-1], dict(os.environ), tuple(passfds))
        with self._channel:
            socket.send_fds(self._channel, [pickle.dumps(command)], list(passfds))
        return self.pid


def fork_zygote(
    shared: Sequence[str], jobs_only: Sequence[str], forget: Callable[[], None]
) -> Zygote:
    """Import modules, fork, and return the child once it has begun.

    Args:
        shared: The modules for both processes. What they make is immortal and frozen: neither its
            use nor the garbage collector writes to its pages, so that the processes keep sharing
            them.
        jobs_only: The modules for the child.
        forget: Called in the child first, to give up what it is not to have.
    """
    gc.disable()  # Almost nothing of what imports make is garbage: saves a fifth of their time.
    for name in shared:
        import_module(name)
    from .immortal import immortalize  # noqa: PLC0415  # it takes numpy, which LiveKit has imported

    immortalize()
    gc.freeze()
    gc.enable()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _serve(theirs, jobs_only, forget)
    theirs.close()
    return Zygote(pid, ours)


def _serve(channel: socket.socket, modules: Sequence[str], forget: Callable[[], None]) -> Never:
    """Import modules, wait for the command and run it; never return into the host's code."""
    status = 1
    try:
        forget()
        ctypes.CDLL(None).prctl(PR_SET_NAME, NAME, 0, 0, 0)
        for name in modules:
            import_module(name)
        if command := _receive(channel):
            os.environ.clear()
            os.environ.update(command.environ)
            exec(command.code, {"__name__": "__main__"})  # noqa: S102  # multiprocessing's own, as `python -c` would
        status = 0
    except (SystemExit, KeyboardInterrupt):
        status = 0
    except BaseException:  # noqa: BLE001  # reported, as nobody is there to catch it
        traceback.print_exc()
    finally:
        os._exit(status)


def _receive(channel: socket.socket) -> _Command | None:
    """Wait for the command; return None if the host has ended instead."""
    with channel:
        sent, received, *_ = socket.recv_fds(channel, LIMIT, 16)
    if not sent:
        return None
    command: _Command = pickle.loads(sent)  # noqa: S301  # from the process that this one was forked from
    above = max(*command.descriptors, *received) + 1
    moved = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, above) for one in received]
    for one in received:
        os.close(one)
    for one, number in zip(moved, command.descriptors, strict=True):
        os.dup2(one, number)
        os.close(one)
    return command
