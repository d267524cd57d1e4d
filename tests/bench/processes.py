"""What a tree of processes takes of memory."""

from pathlib import Path

import psutil

__all__ = ["pss"]


def pss(host: psutil.Process) -> int:
    """Return the bytes that a process and its descendants have, each shared page in parts."""
    return sum(_pss(it.pid) for it in (host, *host.children(recursive=True)))


def _pss(pid: int) -> int:
    """Return the proportional set size of a process (proc(5), smaps_rollup), 0 if it has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return 0
    [kilobytes] = [line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")]
    return int(kilobytes) * 1024
