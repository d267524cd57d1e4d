"""Immortal objects, whose reference counts do not change, so that forks keep sharing their pages.

CPython counts the references to an object in the object itself: a process that merely runs an
inherited function writes to its page, and has a copy of that page from then on. Objects such as
None are immortal (PEP 683, since Python 3.12): nobody writes to their count. Here, all that exists
becomes immortal. Of a live lesson's memory, this saves about a third.
"""

import ctypes
import gc
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["immortalize"]

SMALLEST_IMMORTAL = 1 << 30
"""A reference count that no mortal object reaches."""

LOWEST, HIGHEST = 1 << 12, 1 << 48
"""The addresses that a process may have on Linux (x86-64: below 2^47, arm64: below 2^48)."""

AT_A_TIME = 10_000
"""Objects whose references are followed at a time: most that they refer to are known by then."""

ITEMS = list.__basicsize__ - 2 * ctypes.sizeof(ctypes.c_void_p)
"""The offset in a list of its items' address, which its capacity follows."""


def immortalize() -> None:
    """Keep all objects of this process for its lifetime, and stop counting references to them.

    Those that the garbage collector has frozen are taken for immortal. Python before 3.12 counts
    all the same. Call it before a fork, where little is temporary; half a million objects take a
    tenth of a second.
    """
    counts = _counts()
    never = counts[_indices([None])][0]
    if never < SMALLEST_IMMORTAL:
        return
    fresh = _fresh(gc.get_objects(), counts, never)
    while fresh:
        some = fresh[-AT_A_TIME:]
        del fresh[-AT_A_TIME:]
        fresh += _fresh([*gc.get_referents(*some), *_in_code(some)], counts, never)


def _fresh(objects: list[Any], counts: NDArray[np.uint32], never: np.uint32) -> list[Any]:
    """Make objects immortal, and return those that were not before."""
    if not objects:
        return []
    indices = _indices(objects)
    mortal = counts[indices] != never  # The others are not written to: their pages stay shared.
    counts[indices[mortal]] = never
    return [objects[index] for index in np.flatnonzero(mortal).tolist()]


def _counts() -> NDArray[np.uint32]:
    """Return all memory by four bytes; an object begins with its count (CPython, object.h)."""
    size = (HIGHEST - LOWEST) // 4
    return np.frombuffer(memoryview((ctypes.c_uint32 * size).from_address(LOWEST)), np.uint32)


def _indices(objects: list[Any]) -> NDArray[np.int64]:
    """Return the indices of the counts of objects, at least one, in `_counts`.

    A list has its objects' addresses in a row (CPython, listobject.h): to ask for each takes longer
    than all the rest.
    """
    first = ctypes.c_size_t.from_address(id(objects) + ITEMS).value
    addresses = (ctypes.c_int64 * len(objects)).from_address(first)
    return (np.frombuffer(memoryview(addresses), np.int64) - LOWEST) >> 2


def _in_code(objects: Iterable[object]) -> Iterator[object]:
    """Yield what code refers to, which it does not tell the garbage collector."""
    for one in objects:
        if type(one) is CodeType:
            yield from (one.co_consts, one.co_names, one.co_name, one.co_qualname, one.co_filename)
