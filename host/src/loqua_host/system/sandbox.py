"""The sandbox of processes that run tutors' code as the host's user.

`confine` keeps them from reading what is protected; `confined` does so for the process that jobs
are forked from. `Sandbox` is entered by each job before it imports its tutor.
"""

import os
import resource
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .landlock import (
    NETWORK_VERSION,
    SCOPE_VERSION,
    Ruleset,
    forbid_new_privileges,
    landlock_version,
)
from .seccomp import ARCHITECTURE, filter_calls, has_filter

__all__ = [
    "Sandbox",
    "confine",
    "confine_from_environ",
    "is_possible",
    "protected_in",
    "sandbox_gaps",
]

PROTECTED_PATHS: Final = "LOQUA_PROTECTED_PATHS"

WRITE_FILE: Final = 1 << 1
READ_FILE: Final = 1 << 2
CHANGE_DIRECTORY: Final = sum(1 << bit for bit in range(4, 13))
"""The rights to remove and create entries of any kind."""

REFER: Final = 1 << 13
"""Moving to another directory, which every ruleset of version 2 on forbids unless it allows it."""

TRUNCATE: Final = 1 << 14
"""From version 3 on."""

MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The rights of a process that runs a tutor's code.

    Attributes:
        memory: The maximum of its private memory, in megabytes.
        ports: The TCP ports that it may connect to, None for all.
        processes: Whether it may start processes.
        writable: Where it may write, beside its own temporary directory.
        hidden: What it may not read.
        temporary: Where its temporary directory is made, None to have none. It cannot read what
            others have there.
    """

    memory: int
    ports: tuple[int, ...] | None = ()
    processes: bool = False
    writable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    temporary: Path | None = None

    def enter(self) -> None:
        """Restrict this process, which has one thread, as far as the kernel can.

        Raises:
            OSError: If the kernel refuses what it is able to.
        """
        own = self._make_temporary()
        forbid_new_privileges()
        if is_possible():
            self._give_up(own)
        if has_filter():
            filter_calls(processes=self.processes)
        most = self.memory * MEGABYTE
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))

    def _make_temporary(self) -> Path | None:
        if self.temporary is None:
            return None
        try:
            own = tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self.temporary)
        except OSError:  # the directory was removed; most tutors need none
            return None
        os.environ["TMPDIR"] = tempfile.tempdir = own
        return Path(own)

    def _give_up(self, own: Path | None) -> None:
        on_file, on_directory = _writing()
        given_up = on_directory | READ_FILE
        with Ruleset.giving_up(given_up, network=self.ports is not None, scoped=True) as rules:
            hidden = [*self.hidden, *filter(None, [self.temporary])]
            for readable in _others(hidden) if hidden else ["/"]:
                rules.allow_beneath(readable, READ_FILE)
            rules.allow_beneath(Path(os.devnull), on_file)
            for path in filter(None, [own, *self.writable]):
                rules.allow_beneath(path.resolve(), on_directory | READ_FILE)
            if landlock_version() >= NETWORK_VERSION:
                for port in self.ports or ():
                    rules.allow_port(port)
            rules.enter()

    def clean(self, pid: int) -> None:
        """Remove the temporary directory of a process that has ended."""
        for own in self.temporary.glob(f"{pid}-*") if self.temporary else ():
            shutil.rmtree(own, ignore_errors=True)


def _writing() -> tuple[int, int]:
    """Return the rights to write that this kernel knows, on a file and on a directory."""
    version = landlock_version()
    on_file = WRITE_FILE | (TRUNCATE if version >= 3 else 0)  # noqa: PLR2004  # see TRUNCATE
    return on_file, on_file | CHANGE_DIRECTORY | (REFER if version > 1 else 0)


def sandbox_gaps() -> tuple[str, ...]:
    """Return what this machine cannot restrict in a sandbox, and what it needs for that."""
    version = landlock_version()
    needed = {
        "files (Linux 5.13 or later, with Landlock)": version >= 1,
        "TCP connections (Linux 6.7 or later)": version >= NETWORK_VERSION,
        "signals (Linux 6.12 or later)": version >= SCOPE_VERSION,
        f"processes (only on {ARCHITECTURE})": has_filter(),
    }
    return tuple(name for name, there in needed.items() if not there)


def is_possible() -> bool:
    """Return whether the kernel has Landlock."""
    return landlock_version() > 0


def protected_in(paths: Iterable[Path]) -> dict[str, str]:
    """Return the variable that has a process keep from these files and directories."""
    joined = os.pathsep.join(str(path.absolute()) for path in paths)
    return {PROTECTED_PATHS: joined} if joined else {}


def confine(paths: Iterable[Path]) -> None:
    """Deny this thread, and all it starts, reading these paths; do nothing without Landlock.

    It may read everything else, and what is made later, but not in one of the directories that lead
    there.

    Raises:
        OSError: If the kernel has Landlock and refuses.
    """
    if not is_possible():
        return
    moving = REFER if landlock_version() > 1 else 0
    with Ruleset.giving_up(READ_FILE | moving) as rules:
        for path in _others(paths):
            rules.allow_beneath(path, READ_FILE)
        if moving:
            rules.allow_beneath(Path("/"), moving)
        rules.enter()


def confine_from_environ() -> None:
    """Confine this thread by the variable of `protected_in`, which is gone then."""
    if joined := os.environ.pop(PROTECTED_PATHS, ""):
        confine(map(Path, joined.split(os.pathsep)))


def _others(paths: Iterable[Path]) -> Iterator[str]:
    """List what is beside the way to any of these; there may be hundreds, in each process."""
    protected = {path.resolve() for path in paths}
    leading = {parent for path in protected for parent in path.parents}
    kept_out = {str(path) for path in protected | leading}
    for directory in leading:
        if protected.isdisjoint((directory, *directory.parents)):
            with suppress(OSError), os.scandir(directory) as entries:
                # A link's target is allowed or protected on its own.
                beside = [one.path for one in entries if not one.is_symlink()]
                yield from (one for one in beside if one not in kept_out)
