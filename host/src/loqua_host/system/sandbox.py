"""Keeps files of the host from the processes that run tutors' code, though these are its user's.

Landlock (landlock(7)) has a process give up rights for itself and for all that come from it. It
is told what stays allowed: to read everything but what is protected, and what is made later in one
of the directories that lead there. `confined` does so for the process that jobs are forked from.
"""

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["confine", "confine_as_told", "is_possible", "protected_in"]

WITHHELD = "LOQUA_WITHHELD"

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""The same number for every architecture (syscalls(2))."""

ASK_VERSION = 1
PATH_BENEATH = 1
READ_FILE = 1 << 2
REFER = 1 << 13
"""Moving to another directory, which every ruleset of version 2 on forbids unless it allows it."""

PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)


def is_possible() -> bool:
    """Return whether the kernel has Landlock."""
    return _version() > 0


def protected_in(paths: Iterable[Path]) -> dict[str, str]:
    """Return the variable that has a process keep from these files and directories."""
    told = os.pathsep.join(str(path.absolute()) for path in paths)
    return {WITHHELD: told} if told else {}


def confine(paths: Iterable[Path]) -> None:
    """Deny this thread, and all it starts, reading these paths; do nothing without Landlock.

    Raises:
        OSError: If the kernel has Landlock and refuses.
    """
    if not is_possible():
        return
    moving = REFER if _version() > 1 else 0
    ruleset = _call(CREATE_RULESET, struct.pack("=Q", READ_FILE | moving), 8, 0)
    try:
        for path in _others(paths):
            _allow(ruleset, path, READ_FILE)
        if moving:
            _allow(ruleset, Path("/"), moving)
        _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def confine_as_told() -> None:
    """Confine this thread by the variable of `protected_in`, which is gone then."""
    if told := os.environ.pop(WITHHELD, ""):
        confine(map(Path, told.split(os.pathsep)))


def _others(paths: Iterable[Path]) -> Iterator[Path]:
    """List what is beside the way to any of these."""
    protected = {path.resolve() for path in paths}
    leading = {parent for path in protected for parent in path.parents}
    for directory in leading:
        if protected.isdisjoint((directory, *directory.parents)):
            # A link leads to what is allowed or protected by itself.
            with suppress(OSError):
                beside = [one for one in directory.iterdir() if not one.is_symlink()]
                yield from (one for one in beside if one not in protected | leading)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        _call(ADD_RULE, ruleset, PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _version() -> int:
    version: int = _libc.syscall(CREATE_RULESET, None, 0, ASK_VERSION)
    return version


def _call(number: int, *arguments: int | bytes) -> int:
    result: int = _libc.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result
