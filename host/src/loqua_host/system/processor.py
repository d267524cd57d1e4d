"""Time that a process waits for a processor, on a machine that has too few of them."""

from pathlib import Path

__all__ = ["seconds_waited"]


def seconds_waited(pid: int) -> float:
    """Return the seconds for which the main thread of a process could have run, but others did.

    Linux counts them (proc(5), `schedstat`); where nobody does, it is 0.

    Args:
        pid: The process.
    """
    try:
        _ran, waited, _times = Path(f"/proc/{pid}/schedstat").read_text("ascii").split()
    except (OSError, ValueError):
        return 0.0
    return int(waited) / 1e9
