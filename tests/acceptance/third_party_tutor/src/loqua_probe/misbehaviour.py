"""The hostile set: attacks of a tutor on its lesson, on others and on the host.

host/docs/threat-model.md has a row for each.
"""

import asyncio
import contextlib
import logging
import mmap
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from livekit.agents.ipc.log_queue import LogQueueHandler

from loqua_host import Lesson

from .hostile import PRIVATE, attack

__all__ = ["ATTEMPTS", "MISBEHAVIOUR", "attempt"]

FOREVER = 1e6
LINES = 3000
HOARD: list[object] = []
TOO_MUCH = 2_000_000_000
BLOCK = 10_000_000


async def _blocks(_lesson: Lesson) -> None:
    """Keep the event loop, and take no interruption for an end."""
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(FOREVER)  # noqa: ASYNC251  # the mistake to be seen


async def _swallows_cancellation(_lesson: Lesson) -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def _eats_memory(_lesson: Lesson) -> None:
    HOARD.append(bytearray(TOO_MUCH))


async def _eats_shared_memory(_lesson: Lesson) -> None:
    """Take memory that is no data of its own to the kernel."""
    shared = mmap.mmap(-1, TOO_MUCH)
    HOARD.append(shared)
    threading.Thread(target=_fill, args=(shared,), daemon=True).start()


def _fill(shared: mmap.mmap) -> None:
    for place in range(0, TOO_MUCH, BLOCK):
        shared[place : place + BLOCK] = b"x" * BLOCK


async def _exits(_lesson: Lesson) -> None:
    os._exit(0)


async def _burns_cpu(_lesson: Lesson) -> None:
    threading.Thread(target=_burn, daemon=True).start()


def _burn() -> None:
    while True:
        pass


async def _floods_log(lesson: Lesson) -> None:
    for number in range(LINES):
        lesson.log.info("probe.flood", number=number)


async def _returns_garbage(lesson: Lesson) -> None:
    lesson.state["garbage"] = object()  # type: ignore[assignment]  # what JSON does not take


async def _keeps_threads(lesson: Lesson) -> None:
    threading.Thread(target=time.sleep, args=(FOREVER,), daemon=False).start()
    lesson.end("probe_done")


async def _asks_for_others(lesson: Lesson) -> None:
    await attack("rejoin", lesson, Path())


async def _forges_log(_lesson: Lesson) -> None:
    """Send what is no record, and one that says it is another lesson's and the host's."""
    [log] = (it for it in logging.getLogger().handlers if isinstance(it, LogQueueHandler))
    log._send_q.put_nowait(b"\x80\x04.")
    log._send_q.put_nowait(
        b'{"name": "loqua_host.host", "levelno": 50, "msg": "host.forged", "pid": 1, '
        b'"job_id": "AJ_forged", "room": "forged"}'
    )


MISBEHAVIOUR: dict[str, Callable[[Lesson], Awaitable[None]]] = {
    "blocks": _blocks,
    "swallows-cancellation": _swallows_cancellation,
    "eats-memory": _eats_memory,
    "eats-shared-memory": _eats_shared_memory,
    "exits": _exits,
    "burns-cpu": _burns_cpu,
    "floods-log": _floods_log,
    "returns-garbage": _returns_garbage,
    "keeps-threads": _keeps_threads,
    "asks-for-others": _asks_for_others,
    "forges-log": _forges_log,
}
"""What costs its own lesson something, each in a lesson of its own."""


def _fork(_host: int, _ledger: Path, _ports: list[int]) -> None:
    if os.fork() == 0:
        os._exit(0)


def _run_program(_host: int, _ledger: Path, _ports: list[int]) -> None:
    os.posix_spawn("/bin/true", ["true"], {})


def _read_siblings(_host: int, _ledger: Path, _ports: list[int]) -> None:
    mine, parent = os.getpid(), os.getppid()
    for one in Path("/proc").iterdir():
        if one.name.isdigit() and int(one.name) != mine and _parent(one) == parent:
            for name in PRIVATE:
                with contextlib.suppress(
                    FileNotFoundError, ProcessLookupError
                ):  # it has ended meanwhile
                    _denied(lambda file=one / name: file.open("rb"))  # type: ignore[misc]
    raise PermissionError


def _read_host(host: int, _ledger: Path, _ports: list[int]) -> None:
    for name in PRIVATE:
        _denied((Path("/proc") / str(host) / name).read_bytes)
    raise PermissionError


def _kill_host(host: int, _ledger: Path, _ports: list[int]) -> None:
    for number in (signal.SIGKILL, signal.SIGSTOP):
        _denied(lambda number=number: os.kill(host, number))  # type: ignore[misc]
    _denied(lambda: os.setpriority(os.PRIO_PROCESS, host, 19))
    resource.prlimit(host, resource.RLIMIT_CPU, (0, 0))


def _kill_siblings(_host: int, _ledger: Path, _ports: list[int]) -> None:
    for one in Path("/proc").iterdir():
        if one.name.isdigit() and int(one.name) != os.getpid():
            _denied(lambda pid=int(one.name): os.kill(pid, 0))  # type: ignore[misc]
    os.kill(os.getppid(), 0)


def _delete_ledger(_host: int, ledger: Path, _ports: list[int]) -> None:
    for file in (ledger, ledger.with_name(f"{ledger.name}-wal")):
        _denied(file.read_bytes)
        _denied(lambda file=file: file.write_bytes(b""))  # type: ignore[misc]
        _denied(lambda file=file: os.truncate(file, 0))  # type: ignore[misc]
        _denied(lambda file=file: file.rename(file.with_name("moved")))  # type: ignore[misc]
        before = file.stat().st_mode
        file.chmod(0)
        assert file.stat().st_mode == before
    ledger.unlink()


def _connect(_host: int, _ledger: Path, ports: list[int]) -> None:
    for port in ports:
        _denied(lambda port=port: socket.create_connection(("127.0.0.1", port)))  # type: ignore[misc]
    raise PermissionError


ATTEMPTS: dict[str, Callable[[int, Path, list[int]], None]] = {
    "forks": _fork,
    "runs-programs": _run_program,
    "reads-siblings": _read_siblings,
    "reads-host": _read_host,
    "kills-host": _kill_host,
    "kills-others": _kill_siblings,
    "deletes-ledger": _delete_ledger,
    "connects-anywhere": _connect,
}
"""What the kernel denies, so that one lesson can try all of it."""


def attempt(host: int, ledger: Path, ports: list[int]) -> dict[str, str]:
    """Try all, and return what came of each: `denied` if all of it was."""
    return {name: _outcome(what, host, ledger, ports) for name, what in ATTEMPTS.items()}


def _outcome(
    what: Callable[[int, Path, list[int]], None], host: int, ledger: Path, ports: list[int]
) -> str:
    try:
        what(host, ledger, ports)
    except PermissionError:
        return "denied"
    except Exception as error:  # noqa: BLE001  # a test shows it
        return repr(error)
    return "done"


def _denied(what: Callable[[], object]) -> None:
    """Do what the kernel is to deny.

    Raises:
        AssertionError: If it does not.
    """
    try:
        what()
    except PermissionError:
        return
    raise AssertionError(what)


def _parent(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None
