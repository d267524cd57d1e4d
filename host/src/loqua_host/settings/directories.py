"""Checks of the directories that the host writes to."""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from loqua_host.errors import Problem

from .host import HostSettings
from .problems import KeyPath, printable

__all__ = ["directory_problems", "ledger_fault"]

_LONGEST_NAME: Final = 255 - len("-journal")
"""Bytes of the ledger's file name. SQLite adds suffixes to it for files beside the ledger."""

_SQLITE: Final = b"SQLite format 3\x00"
"""The header of a SQLite database (sqlite.org/fileformat.html)."""

_LONGEST_PATH: Final = 500
"""SQLite opens no file whose path has more than 512 bytes (os_unix.c, MAX_PATHNAME)."""


def directory_problems(
    settings: HostSettings,
    environ: Mapping[str, str],
    where: Callable[[KeyPath], str],
    *,
    in_file: bool,
) -> Iterator[Problem]:
    """Find the directories that the host cannot use.

    Args:
        settings: The settings that name them.
        environ: The environment variables.
        where: Returns the file and key of a setting.
        in_file: Whether the ledger is a SQLite file.
    """
    ledger, spool = settings.ledger.path.absolute(), settings.ledger.spool_directory.absolute()
    if in_file and (why := ledger_fault(ledger)):
        yield _refused(where(("ledger", "path")), ledger, why)
    elif why := _fault_of_directory(spool):
        yield _refused(where(("ledger", "spool")), spool, why)
    yield from _temporary_problems(environ)


def ledger_fault(path: Path) -> str | None:
    """Return why no ledger can be opened or created at a path, without doing either."""
    return _fault_of_file(path) or _fault_of_database(path) or _fault_of_directory(path.parent)


def _refused(where: str, path: Path, why: str) -> Problem:
    hint = "let the host's user write there, or name another path"
    return Problem(where, f"{printable(str(path))} cannot be used: {why}", hint)


def _temporary_problems(environ: Mapping[str, str]) -> Iterator[Problem]:
    hint = "name a directory that the host's user can write to"
    if given := environ.get("TMPDIR"):
        path = Path(given).absolute()
        why = _fault_of_directory(path) if path.is_dir() else "it is not a directory"
        if why:
            yield Problem("TMPDIR", f"{printable(given)} cannot be used: {why}", hint)
        return
    try:
        tempfile.gettempdir()
    except OSError:
        yield Problem("TMPDIR", "no directory for temporary files can be used", hint)


def _fault_of_file(path: Path) -> str | None:
    """Return why a file cannot be opened or created."""
    if len(os.fsencode(path)) > _LONGEST_PATH or len(os.fsencode(path.name)) > _LONGEST_NAME:
        return "its path is too long"
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return _reason(error)
    if not stat.S_ISREG(found.st_mode):
        return "it is not a file"
    if os.geteuid() not in (0, found.st_uid):
        return "it belongs to another user"
    return None if os.access(path, os.R_OK | os.W_OK) else "it cannot be written"


def _fault_of_database(path: Path) -> str | None:
    """Return what is wrong with the contents of a readable file, if there is one."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(_SQLITE))
    except OSError:
        return None
    return None if begins in (b"", _SQLITE) else "it is not a SQLite database"


def _fault_of_directory(path: Path) -> str | None:
    """Return why a directory cannot be written to, or created."""
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        return "its path is too long"
    try:
        found = path.stat()
    except FileNotFoundError:
        return _fault_of_directory(path.parent)
    except (OSError, ValueError) as error:
        return _reason(error)
    if not stat.S_ISDIR(found.st_mode):
        return f"{printable(str(path))} is not a directory"
    if not os.access(path, os.W_OK | os.X_OK):
        return f"{printable(str(path))} cannot be written to"
    return None


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or "it is not a path")
