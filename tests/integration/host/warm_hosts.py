"""Hosts that start at once: each is forked from a process that has imported what hosts import.

A host that starts as a new program takes four seconds of processor time, three of them for imports,
and tests start some eighty. This is the same code from `loqua_host.__main__.main` on, where a host
has just started itself again with a clean environment (`restart_with_clean_environ`).
"""

import asyncio
import ctypes
import gc
import json
import os
import pickle
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module

from loqua_host.dev.child import dying_with_parent

__all__ = ["ForkedHost", "WarmHosts", "warm_hosts"]

IMPORTED = (
    "loqua_host.__main__",
    "loqua_host.cli",
    "loqua_host.host",
    "loqua_host.job.entrypoint",
    "loqua_host.job.preload",
    "loqua_host.job.process",
    "loqua_host.lessons.tracing",
    "loqua_host.ops.logs",
    "loqua_host.registry.inspect_child",
    "livekit.agents.ipc._preload",
)

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
READY = b"ready"
LIMIT = 100_000
"""The bytes of a request, at most."""


class ForkedHost:
    """A host process, with what tests use of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._handle = os.pidfd_open(pid)
        asyncio.get_running_loop().add_reader(self._handle, self._reap)

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)
        self._ended.set()

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for the end, and return the exit code; minus the signal's number if one ended it."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode


class WarmHosts:
    """The process that hosts are forked from."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel

    async def start(
        self, arguments: Sequence[str], environ: Mapping[str, str]
    ) -> tuple[ForkedHost, asyncio.StreamReader]:
        """Start `loqua-host` with these arguments; return it, a child of this process, and its log.

        Args:
            arguments: Its arguments.
            environ: The environment that it was started with, as it believes.
        """
        ours, theirs = os.pipe()
        request = pickle.dumps(([*arguments], dict(environ)))
        try:
            pid = await asyncio.to_thread(self._ask, request, theirs)
        finally:
            os.close(theirs)
        log = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(log), os.fdopen(ours, "rb", 0)
        )
        return ForkedHost(pid), log

    def _ask(self, request: bytes, log: int) -> int:
        # So that the host, whose parent ends at once, becomes a child of this process. Only for so
        # long: what a host leaves when it is killed is for init to bury.
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            socket.send_fds(self._channel, [request], [log])
            return int(self._channel.recv(LIMIT))
        finally:
            _prctl(PR_SET_CHILD_SUBREAPER, 0)


@asynccontextmanager
async def warm_hosts(environ: Mapping[str, str]) -> AsyncIterator[WarmHosts]:
    """Run the process that hosts are forked from, with what is in its environment, for a block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        command = (sys.executable, "-m", __name__, str(theirs.fileno()))
        process = await asyncio.create_subprocess_exec(
            *dying_with_parent(*command), env=environ, pass_fds=[theirs.fileno()]
        )
        try:
            assert await asyncio.to_thread(ours.recv, LIMIT) == READY
            yield WarmHosts(ours)
        finally:
            process.kill()
            await process.wait()


def serve(channel: socket.socket) -> None:
    """Import what hosts import, and fork one for each request; in a host, return once it ends."""
    gc.disable()
    for name in IMPORTED:
        import_module(name)
    gc.freeze()
    gc.enable()
    channel.send(READY)
    while True:
        sent, logs, *_ = socket.recv_fds(channel, LIMIT, 1)
        if not sent:
            return
        read, write = os.pipe()
        if (between := os.fork()) == 0:
            parent = os.getpid()  # which may be gone before the host could ask for it
            if (pid := os.fork()) == 0:
                for one in (read, write, channel.detach()):
                    os.close(one)
                _become_host(parent, *logs, *pickle.loads(sent))  # noqa: S301  # from the tests
                return
            os.write(write, str(pid).encode())
            os._exit(0)
        os.waitpid(between, 0)
        channel.send(os.read(read, LIMIT))
        for one in (read, write, *logs):
            os.close(one)


def _become_host(between: int, log: int, arguments: list[str], environ: dict[str, str]) -> None:
    """Replace this process as `restart_with_clean_environ` does, as our grandparent's child."""
    from loqua_host.__main__ import main  # noqa: PLC0415  # for the process above to import
    from loqua_host.system.environment import ONE_THREAD, STARTUP_ENVIRON, safe_environ  # noqa: PLC0415

    while os.getppid() == between:
        time.sleep(0.001)
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for one, standard in ((nothing, 0), (nothing, 1), (log, 2)):
        os.dup2(one, standard)
    for one in (nothing, log):
        os.close(one)
    memory = os.memfd_create("loqua-environment", 0)
    os.write(memory, json.dumps(environ).encode())
    os.lseek(memory, 0, os.SEEK_SET)
    os.environ.clear()
    os.environ.update({**safe_environ(environ), **ONE_THREAD, STARTUP_ENVIRON: str(memory)})
    tempfile.tempdir = None
    sys.argv = ["loqua-host", *arguments]
    main()


def _prctl(option: int, value: int) -> None:
    assert ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
