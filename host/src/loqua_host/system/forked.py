"""Processes forked from the jobs' forkserver, which has already imported LiveKit.

A `multiprocessing.Process` would not do: its start blocks as long as that process is still
importing, and it imports what this one was started as. So this speaks the protocol of
multiprocessing.forkserver itself, which is the same in CPython 3.11 to 3.14.
"""

import asyncio
import os
import pickle
import select
import signal
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver
from pkgutil import resolve_name
from typing import Any

__all__ = ["ForkedProcess", "fork"]

END_SECONDS = 5.0
"""Seconds for a process to end what it started."""

BEGIN_SECONDS = 1.0
"""Seconds within which a started process reports its id."""

NUMBER = struct.Struct("q")
"""The format of a process's id and exit status from the forkserver."""


@dataclass(slots=True)
class ForkedProcess:
    """A process that is being started, runs or has ended.

    Attributes:
        pid: Its id, when it runs.
        status: Its exit status, or the signal that ended it as a negative number.
    """

    _numbers: asyncio.StreamReader
    pid: int | None = None
    status: int | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def begun(self) -> int:
        """Wait until it runs and return its id.

        Raises:
            OSError: If the process that it is forked from has ended.
        """
        if self.pid is None:
            self.pid = await self._number()
        return self.pid

    async def ended(self) -> int:
        """Wait for its end and return its exit status.

        Raises:
            OSError: If the process that it is forked from has ended.
        """
        await self.begun()
        if self.status is None:
            self.status = await self._number()
        return self.status

    async def _number(self) -> int:
        try:
            [number] = NUMBER.unpack(await self._numbers.readexactly(NUMBER.size))
        except asyncio.IncompleteReadError:
            raise ChildProcessError("the process that it is forked from has ended") from None
        return int(number)


@asynccontextmanager
async def fork(
    function: str, *arguments: object, files: Sequence[int] = ()
) -> AsyncIterator[ForkedProcess]:
    """Run a function in a process that is gone at the end of the block, with its group.

    The function is written `module:name`, as this process may never import what that process has,
    and ends the process itself.

    The process leads a session and has default signal handlers, no terminal, and no descriptor open
    but those of `files`; their numbers there follow the arguments. SIGTERM asks it to end.

    Raises:
        OSError: If it cannot be started.
    """
    status, data = forkserver.connect_to_new_process(list(files))
    with os.fdopen(status, "rb") as numbers, os.fdopen(data, "wb") as wanted:
        pickle.dump({"sys_path": _module_path()}, wanted)
        pickle.dump(_Task(function, arguments), wanted)
        wanted.flush()
        reader = asyncio.StreamReader()
        loop, protocol = asyncio.get_running_loop(), asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_read_pipe(lambda: protocol, numbers)
        process = ForkedProcess(reader)
        try:
            yield process
        finally:
            wanted.close()  # a process that has not begun yet ends at its start
            await _end(process)
            transport.close()


async def _end(process: ForkedProcess) -> None:
    """Stop a process and its children; kill its process group after a time limit."""
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(BEGIN_SECONDS):
            await process.begun()
    if process.pid is None:
        return
    try:
        with suppress(ProcessLookupError):
            if process.status is None:
                os.kill(process.pid, signal.SIGTERM)
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(END_SECONDS):
                await process.ended()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _module_path() -> list[str]:
    """Return where modules are found, without the directory that this process was started in.

    Python puts it first, and what is there must not stand for what is installed.
    """
    first, *others = sys.path
    return others if first in ("", os.environ.get("PWD")) else sys.path


@dataclass(frozen=True, slots=True)
class _Task:
    """The task that the forked process unpickles and runs in place of `multiprocessing.Process`."""

    function: str
    arguments: tuple[Any, ...]

    def _bootstrap(self, parent_sentinel: int) -> int:
        if select.select([parent_sentinel], [], [], 0)[0]:
            return 0  # the parent no longer wants it
        files = [os.dup(file) for file in forkserver.get_inherited_fds() or ()]
        _detach(files)
        resolve_name(self.function)(*self.arguments, *files)
        return 0


def _detach(files: Sequence[int]) -> None:
    """Leave everything behind that comes from the process that this one is forked from."""
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    needed = sorted({0, 1, 2, *files})
    for before, after in zip(needed, [*needed[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(before + 1, after)
