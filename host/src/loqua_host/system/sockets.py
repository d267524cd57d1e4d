"""Unix sockets that are reached by a descriptor instead of a path.

A path vanishes with its directory (systemd-tmpfiles, the end of a user's last login), and 107 bytes
are all a socket's path may have (unix(7)). The abstract namespace has neither fault, but anyone in
the same network namespace can connect there, and take a name once it is free (CVE-2022-42919). So a
socket is bound in a directory that lasts for a moment only. Whoever is to connect gets an `O_PATH`
descriptor of the socket and connects by way of /proc/self/fd (proc(5)); nobody else can.
"""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import reduction
from pathlib import Path
from typing import Any

from loqua_host.errors import ConfigError, Problem

__all__ = [
    "SocketHandle",
    "listen_unnamed",
    "open_handle",
    "short_directory",
    "temporary_directory",
]


class SocketHandle:
    """A descriptor of a Unix socket, by which this process connects.

    It can be an argument of a process that multiprocessing starts, which gets a descriptor of its
    own (SCM_RIGHTS, unix(7)).

    Args:
        descriptor: Is the handle's from now on, for the life of the process.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def path(self) -> str:
        """The path by which this process, and no other, connects."""
        return f"/proc/self/fd/{self._descriptor}"

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    def __reduce__(self) -> tuple[Any, ...]:
        """Send the descriptor along with the process that is being started."""
        return _receive, (reduction.DupFd(self._descriptor),)


def _receive(sent: Any) -> SocketHandle:
    return SocketHandle(sent.detach())


def open_handle(path: str) -> SocketHandle:
    """Return a handle for the socket at a path, which is no longer needed then."""
    return SocketHandle(os.open(path, os.O_PATH | os.O_CLOEXEC))


@contextmanager
def short_directory() -> Iterator[str]:
    """Make a directory for the length of a block; its path is short, whatever TMPDIR is called.

    Raises:
        ConfigError: If no directory for temporary files can be used.
    """
    with temporary_directory() as directory:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)


@contextmanager
def listen_unnamed() -> Iterator[tuple[socket.socket, SocketHandle]]:
    """Listen at a socket without a path; give it, and what it is reached by.

    Raises:
        ConfigError: If no directory for temporary files can be used.
    """
    with socket.socket(socket.AF_UNIX) as listener:
        with short_directory() as directory:
            path = f"{directory}/socket"
            listener.bind(path)
            Path(path).chmod(0o600)
            listener.listen()
            handle = open_handle(path)
        try:
            yield listener, handle
        finally:
            handle.close()


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Make a directory that only this user can use, for the length of a block.

    Raises:
        ConfigError: If no directory for temporary files can be used.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix="loqua-")
    except OSError as error:
        what = f"no directory for temporary files can be used: {error.strerror}"
        hint = "name a directory that the host's user can write to"
        raise ConfigError([Problem("TMPDIR", what, hint)]) from None
    with made as directory:
        yield Path(directory)
