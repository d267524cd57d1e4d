"""The forkserver of the jobs, and protection of the host's memory."""

import asyncio
import ctypes
import json
import multiprocessing
import os
import resource
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import psutil

from loqua_host.errors import LoquaError

from .environment import STARTUP_ENVIRON, restart_with_clean_environ, safe_environ
from .sandbox import protected_in
from .sockets import open_handle, short_directory
from .zygote import Zygote

__all__ = [
    "forkserver_ended",
    "forkserver_runs",
    "hide_memory",
    "start_forkserver",
    "take_startup_environ",
]

PR_SET_DUMPABLE = 4


def take_startup_environ(arguments: Sequence[str]) -> Mapping[str, str]:
    """Return the startup environment after re-executing this process without it.

    The first call replaces this process by a new run of the program with `arguments`. The second
    call, in that run, returns, and hides the process's memory.
    """
    restart_with_clean_environ(arguments)
    with os.fdopen(int(os.environ.pop(STARTUP_ENVIRON))) as file:
        environ: dict[str, str] = json.load(file)
    hide_memory()
    return environ


def hide_memory() -> None:
    """Disable core dumps, and access to this process's memory by the same user.

    Raises:
        LoquaError: The kernel does not know how (prctl(2), PR_SET_DUMPABLE).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise LoquaError("this kernel does not let a process become non-dumpable (prctl)")


def start_forkserver(
    preload: Sequence[str], protected: Iterable[Path] = (), zygote: Zygote | None = None
) -> None:
    """Start the process that all jobs are forked from, or have the zygote become it.

    Neither it nor they can read what is protected. One that runs already is kept.

    Its socket is reached by a descriptor, so that no path to it can vanish.

    Call it before LiveKit runs: LiveKit's own preload call comes too late then, so its modules
    are listed here, the one that freezes the heap last (livekit-agents 1.8.9, worker.py).
    """
    if forkserver_runs():
        return
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        [
            "loqua_host.system.confined",
            "loqua_host.system.detached",
            "loqua_host.registry.inspect_child",
            *preload,
            "livekit.agents.ipc._preload",
            "loqua_host.system.immortal_heap",
            "livekit.agents.ipc._preload_freeze",
        ]
    )
    with _only(safe_environ(os.environ) | protected_in(protected)), short_directory() as directory:
        current = multiprocessing.current_process()._config  # type: ignore[attr-defined]  # noqa: SLF001  # where it looks for a directory
        current["tempdir"] = directory
        try:
            with zygote.as_forkserver() if zygote else nullcontext():
                forkserver.ensure_running()
        finally:
            del current["tempdir"]
        server: Any = forkserver._forkserver  # noqa: SLF001  # its address is kept nowhere else
        server._forkserver_address = open_handle(server._forkserver_address).path  # noqa: SLF001  # as above


@contextmanager
def _only(environ: Mapping[str, str]) -> Iterator[None]:
    """Replace `os.environ` by these variables for the duration of a block."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def forkserver_runs() -> bool:
    """Return whether the process that jobs are forked from is there."""
    pid = _forkserver_pid()
    try:
        return pid is not None and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _forkserver_pid() -> int | None:
    server: Any = forkserver._forkserver  # noqa: SLF001  # its pid is public nowhere
    pid: int | None = server._forkserver_pid  # noqa: SLF001  # as above
    return pid


async def forkserver_ended() -> None:
    """Return when the forkserver has ended unexpectedly.

    Python would start another at the next job, but with it the parent of all running jobs is
    gone, and with that the way to learn of their ends.
    """
    process = os.pidfd_open(_forkserver_pid() or 0)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process)
        os.close(process)
