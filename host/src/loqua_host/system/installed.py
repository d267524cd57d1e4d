"""The versions of loqua-host: the running one and the installed one."""

from importlib import metadata
from typing import Final

__all__ = ["RUNNING", "installed_over"]

_PACKAGE: Final = "loqua-host"

RUNNING: Final = metadata.version(_PACKAGE)
"""The version of this process's code."""


def installed_over() -> str | None:
    """Return the version that was installed over the running one, or None.

    Jobs are forked from this process and import the rest of their code later: from then on they
    would mix both versions, and the messages of their links.
    """
    try:
        now = metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:  # the package is being replaced, or was removed
        now = "nothing"
    return None if now == RUNNING else now
