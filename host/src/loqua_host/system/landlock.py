"""Landlock: a process drops rights for itself and its descendants (landlock(7)).

Only the calling thread and what it starts are restricted, so that this is for a process with one.
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["Ruleset", "forbid_new_privileges", "landlock_version"]

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""The same number for every architecture (syscalls(2))."""

ASK_VERSION: Final = 1
PATH_BENEATH, NET_PORT = 1, 2
CONNECT_TCP: Final = 1 << 1
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1 << 0, 1 << 1

NETWORK_VERSION: Final = 4
"""From this version on, of Linux 6.7, TCP connections can be restricted."""

SCOPE_VERSION: Final = 6
"""From this version on, of Linux 6.12, signals and abstract Unix sockets can be."""

PR_SET_NO_NEW_PRIVS: Final = 38

_libc = ctypes.CDLL(None, use_errno=True)


def landlock_version() -> int:
    """Return the version of Landlock that the kernel has, 0 or less if it has none."""
    version: int = _libc.syscall(CREATE_RULESET, None, 0, ASK_VERSION)
    return version


def forbid_new_privileges() -> None:
    """Set no_new_privs, which Landlock and seccomp require (prctl(2))."""
    _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


class Ruleset:
    """The exceptions from the rights that a process drops.

    Args:
        descriptor: Landlock's descriptor of it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    @contextmanager
    def giving_up(
        cls, files: int, *, network: bool = False, scoped: bool = False
    ) -> Iterator["Ruleset"]:
        """Yield a ruleset to add to and to enter; without additions, nothing of this is kept.

        Args:
            files: The rights on files, as bits (linux/landlock.h).
            network: Whether TCP connections are given up, from `NETWORK_VERSION` on.
            scoped: Whether signals to other processes, and others' abstract Unix sockets, are, from
                `SCOPE_VERSION` on.

        Raises:
            OSError: If the kernel refuses.
        """
        version = landlock_version()
        parts = [files]
        if version >= NETWORK_VERSION:
            parts.append(CONNECT_TCP if network else 0)
        if version >= SCOPE_VERSION:
            parts.append(SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if scoped else 0)
        attributes = struct.pack(f"={len(parts)}Q", *parts)
        descriptor = _call(CREATE_RULESET, attributes, len(attributes), 0)
        try:
            yield cls(descriptor)
        finally:
            os.close(descriptor)

    def allow_beneath(self, path: str | Path, rights: int) -> None:
        """Keep rights on a file, or on all in a directory; one that does not exist is left out."""
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            rule = struct.pack("=Qi", rights, descriptor)
            _call(ADD_RULE, self._descriptor, PATH_BENEATH, rule, 0)
        finally:
            os.close(descriptor)

    def allow_port(self, port: int) -> None:
        """Keep the right to connect to a TCP port, of whatever machine."""
        rule = struct.pack("=QQ", CONNECT_TCP, port)
        _call(ADD_RULE, self._descriptor, NET_PORT, rule, 0)

    def enter(self) -> None:
        """Drop the rights of this process, permanently."""
        forbid_new_privileges()
        _call(RESTRICT_SELF, self._descriptor, 0)


def _call(number: int, *arguments: int | bytes) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result
