"""A tutor's search for secrets, with its findings."""

import gc
import os
import sys
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from loqua_host import Lesson

from .script import SecretSearch

__all__ = ["collect"]

BLOCK = 1 << 16
PROC_FILES = ("environ", "cmdline", "maps", "mountinfo", "status")


def collect(lesson: Lesson, directory: Path, search: SecretSearch) -> None:
    """Write all that is readable to `<room>.found`, and what is not to `<room>.denied`."""
    denied: list[str] = []
    with (directory / f"{lesson.room}.found").open("wb") as found:
        found.write(repr((dict(os.environ), sys.argv, sys.orig_argv)).encode())
        for piece in _reachable(lesson):
            found.write(piece + b"\n")
        for file in search.files:
            try:
                found.write(file.read_bytes())
            except OSError:
                denied.append(str(file))
        for pid in _family(search.host):
            for name, content in _proc(pid, denied, memory=search.memory or pid == os.getpid()):
                found.write(f"\n== {pid}/{name}\n".encode())
                found.write(content)
    (directory / f"{lesson.room}.denied").write_text("\n".join(denied))


def _family(host: int) -> Iterator[int]:
    """Yield this process and its ancestors up to the host."""
    pid = os.getpid()
    while pid > 1:
        yield pid
        if pid == host:
            return
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])


def _proc(pid: int, denied: list[str], *, memory: bool) -> Iterator[tuple[str, bytes]]:
    names = [*PROC_FILES]
    for folder in ("fd", "fdinfo"):
        try:
            numbers = [path.name for path in Path(f"/proc/{pid}/{folder}").iterdir()]
        except OSError:
            denied.append(f"{pid}/{folder}")
            continue
        names += [f"fdinfo/{number}" for number in numbers] if folder == "fdinfo" else []
        if folder == "fd":
            yield from _memory_files(pid, numbers, denied)
    for name in names:
        try:
            yield name, Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:
            denied.append(f"{pid}/{name}")
    if memory:
        try:
            yield from _memory(pid)
        except OSError:
            denied.append(f"{pid}/mem")


def _memory_files(pid: int, numbers: list[str], denied: list[str]) -> Iterator[tuple[str, bytes]]:
    """Read what is open and anonymous: such a file may have handed secrets over."""
    for number in numbers:
        path = Path(f"/proc/{pid}/fd/{number}")
        try:
            if str(path.readlink()).startswith("/memfd:"):
                yield f"fd/{number}", path.read_bytes()
        except OSError:
            denied.append(f"{pid}/fd/{number}")


def _memory(pid: int) -> Iterator[tuple[str, bytes]]:
    """Read all writable memory, as far as anything was ever written there."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if rights.startswith("rw"):
                start, end = (int(edge, 16) for edge in span.split("-"))
                yield from ((f"mem/{span}", block) for block in _written(memory, start, end))


def _written(memory: FileIO, start: int, end: int) -> Iterator[bytes]:
    """Yield the blocks that are not all zeros; what cannot be read is a device's."""
    for at in range(start, end, BLOCK):
        try:
            memory.seek(at)
            block = memory.read(min(BLOCK, end - at))
        except OSError:
            return
        if block.count(0) < len(block):
            yield block


def _reachable(lesson: Lesson) -> Iterator[bytes]:
    """Yield the text of everything that references lead to from the lesson, modules included."""
    seen: set[int] = set()
    waiting: list[Any] = [lesson]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, str):
            yield thing.encode(errors="replace")
        elif isinstance(thing, bytes | bytearray):
            yield bytes(thing)
        else:
            waiting += gc.get_referents(thing)
