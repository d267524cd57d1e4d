"""A probe: start a process like a job's, and connect it to the host.

The forkserver may hang, the user may have reached a limit of processes, or the host's end of the
link may not respond. Only a trial detects these.
"""

import asyncio
import multiprocessing
import socket
import sys
from multiprocessing.popen_forkserver import Popen

from loqua_host.errors import LinkError
from loqua_host.system.sockets import SocketHandle

__all__ = ["ALIVE_PATH", "JobProbe"]

ALIVE_PATH = "/alive"
"""The answer of the host's end of the link to any connection."""

SECONDS = 4.0
"""Maximum seconds of each step."""

UNANSWERED = 3
"""The exit status of a process that did not get an answer."""


class JobProbe:
    """Start a process that connects to the host over the link; one at a time.

    Args:
        host: The host's end of the link.
    """

    def __init__(self, host: SocketHandle) -> None:
        self._host = host
        self._trial: asyncio.Task[int | None] | None = None

    async def run(self) -> None:
        """Return if a job could start now and reach the host.

        A trial that hangs is not made again beside itself: it is waited for.

        Raises:
            LinkError: If it could not.
        """
        if self._trial is None or self._trial.done():
            self._trial = asyncio.create_task(asyncio.to_thread(_try, self._host))
        try:
            status = await asyncio.shield(self._trial)
        except (OSError, EOFError) as error:
            raise LinkError(f"no process for a job can be started: {error}; {HINT}") from None
        if status == UNANSWERED:
            raise LinkError("a process for a job does not reach the host; see the host's log")
        if status != 0:
            raise LinkError(f"a process for a job ended at once, with status {status}; {HINT}")


HINT = "free memory and processes (ulimit -u, pids.max), or start the host again"


def _try(host: SocketHandle) -> int | None:
    """Return the exit status, None if the process hangs.

    `Process.start` polls all child processes (multiprocessing.process._cleanup), which would race
    with the code that waits for the end of a job.
    """
    process = multiprocessing.get_context("forkserver").Process(target=_ask, args=(host,))
    child = Popen(process)
    status = child.wait(SECONDS * 2)
    if status is None:
        child.kill()
    return status


def _ask(host: SocketHandle) -> None:
    """Connect as a job does, without a job's token."""
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(SECONDS)
            link.connect(host.path)
            link.sendall(f"GET {ALIVE_PATH} HTTP/1.1\r\nHost: host\r\n\r\n".encode())
            answered = link.recv(64).startswith(b"HTTP/1.1 204 ")
    except OSError:
        answered = False
    sys.exit(0 if answered else UNANSWERED)
