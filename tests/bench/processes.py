"""Processes of their own for parts of a bench, and the memory and CPU time of process trees."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

__all__ = ["cpu_seconds", "in_rooms", "pss", "spawned", "tree"]


@contextmanager
def spawned(run: Callable[..., None], *args: Any) -> Iterator[Connection]:
    """Run a function in a new process for the length of a block, and yield a pipe to it.

    Args:
        run: The function; its last argument is the other end of the pipe.
        args: Its other arguments.
    """
    ours, theirs = multiprocessing.Pipe()
    spawning = multiprocessing.get_context("spawn")
    process = spawning.Process(target=run, args=[*args, theirs], daemon=True)
    process.start()
    theirs.close()  # so that nobody waits for what has ended
    try:
        yield ours
    finally:
        process.kill()
        process.join()


def pss(host: psutil.Process) -> int:
    """Return the bytes that a process and its descendants have, each shared page in parts."""
    return sum(_pss(it.pid) for it in tree([host]))


def cpu_seconds(roots: Sequence[psutil.Process]) -> float:
    """Return the processor seconds of these processes, their descendants and ended children."""
    return sum(_cpu(one) for one in tree(roots))


def tree(roots: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Return processes with all their descendants."""
    return [one for root in roots for one in (root, *root.children(recursive=True))]


def in_rooms(roots: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that are connected to rooms: WebRTC alone has UDP sockets."""
    return [one for one in tree(roots) if one.net_connections("udp")]


def _pss(pid: int) -> int:
    """Return the proportional set size of a process (proc(5), smaps_rollup), 0 if it has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return 0
    [kilobytes] = [line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")]
    return int(kilobytes) * 1024


def _cpu(process: psutil.Process) -> float:
    try:
        return sum(process.cpu_times()[:4])
    except psutil.NoSuchProcess:
        return 0.0
