"""A system call filter for jobs (seccomp(2)), which complements Landlock.

A filter is a program for a small machine with one register, which the kernel runs for each call.
It looks at numbers alone, so it is written for one architecture.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterator
from errno import ENOSYS, EPERM
from typing import Final

__all__ = ["filter_calls", "has_filter"]

ARCHITECTURE: Final = "x86_64"
AUDIT_ARCH: Final = 0xC000003E
X32: Final = 0x40000000
"""From this number on, calls of another ABI of the same processor."""

IGNORED: Final = {
    "chmod": 90,
    "chown": 92,
    "lchown": 94,
    "fchownat": 260,
    "fchmodat": 268,
    "fchmodat2": 452,
}
"""Changes of modes and owners, by which a job could lock the host out of the host's own files; they
do nothing, as many libraries expect them to succeed."""

OF_OTHERS: Final = {
    "setpriority": (141, 1),
    "sched_setparam": (142, 0),
    "sched_setscheduler": (144, 0),
    "ioprio_set": (251, 1),
    "prlimit64": (302, 0),
    "sched_setattr": (314, 0),
}
"""Calls by which a job could slow down or end another process of its user, each with the argument
that names the process; 0 is the job itself."""

CLONE: Final = 56
CLONE_THREAD: Final = 0x10000
FORKS: Final = {"fork": 57, "vfork": 58}
CLONE3: Final = 435
"""Its flags are in memory, which no filter sees: without it, the C library uses clone."""

LOAD, EQUAL, AT_LEAST, HAS_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCH, ARGUMENTS = 0, 4, 16
"""Offsets in struct seccomp_data."""

ALLOW: Final = 0x7FFF0000
FAIL: Final = 0x00050000

PR_SET_SECCOMP, FILTER = 22, 2

_Instruction = tuple[int, int, int, int]
"""Code, jumps if true and if false, operand."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def has_filter() -> bool:
    """Return whether there is a filter for this machine."""
    return platform.machine() == ARCHITECTURE


def filter_calls(*, processes: bool) -> None:
    """Restrict the calls of this thread and of all it starts.

    Args:
        processes: Whether it may start processes.

    Raises:
        OSError: If the kernel refuses.
    """
    code = b"".join(struct.pack("=HBBI", *one) for one in _instructions(processes=processes))
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, f"seccomp: {os.strerror(error)}")


def _instructions(*, processes: bool) -> Iterator[_Instruction]:
    yield LOAD, 0, 0, ARCH
    yield EQUAL, 1, 0, AUDIT_ARCH
    yield _fail(EPERM)
    yield LOAD, 0, 0, NUMBER
    yield AT_LEAST, 0, 1, X32
    yield _fail(EPERM)
    for number in IGNORED.values():
        yield from _always(number, _fail(0))
    for number, argument in OF_OTHERS.values():
        yield from _if_argument(number, argument, (EQUAL, 1, 0, 0))
    if not processes:
        for number in FORKS.values():
            yield from _always(number, _fail(EPERM))
        yield from _always(CLONE3, _fail(ENOSYS))
        yield from _if_argument(CLONE, 0, (HAS_BIT, 1, 0, CLONE_THREAD))
    yield RETURN, 0, 0, ALLOW


def _always(number: int, answer: _Instruction) -> Iterator[_Instruction]:
    yield EQUAL, 0, 1, number
    yield answer


def _if_argument(number: int, argument: int, test: _Instruction) -> Iterator[_Instruction]:
    """Allow a call if the lower half of an argument passes a test, which skips one instruction."""
    yield EQUAL, 0, 4, number
    yield LOAD, 0, 0, ARGUMENTS + 8 * argument
    yield test
    yield _fail(EPERM)
    yield RETURN, 0, 0, ALLOW


def _fail(error: int) -> _Instruction:
    return RETURN, 0, 0, FAIL | error
