"""Removal of secrets from the host's environment.

A process's initial environment stays readable in /proc for as long as it lives, also after it
deletes variables. So the host re-executes itself with a clean environment and passes the original
one through an anonymous file (memfd_create(2)). Both runs import this module, so it imports little.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from .proxies import PROXY_VARIABLES, proxy_variables

__all__ = [
    "ONE_THREAD",
    "STARTUP_ENVIRON",
    "forget_environment",
    "is_process_variable",
    "restart_with_clean_environ",
    "safe_environ",
    "temporary_environ",
]

STARTUP_ENVIRON = "LOQUA_STARTUP_ENVIRON"

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Prevents threads of numpy at its import, which would not survive a fork."""

ALLOWED = frozenset(
    {"HOME", "LANG", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TERM", "TMPDIR", "TZ", "USER"}
)
ALLOWED_PREFIXES = ("LC_", "PYTHON", "XDG_", "COVERAGE_")


def forget_environment() -> None:
    """Close, unread, the environment that this process was handed; for a child that gets none."""
    os.close(int(os.environ.pop(STARTUP_ENVIRON)))


def restart_with_clean_environ(arguments: Sequence[str]) -> None:
    """Replace this process by `loqua-host` with a clean environment, unless that has been done."""
    if STARTUP_ENVIRON in os.environ:
        return
    memory = os.memfd_create("loqua-environment", 0)
    os.write(memory, json.dumps(dict(os.environ)).encode())
    os.lseek(memory, 0, os.SEEK_SET)
    clean = {**safe_environ(os.environ), **ONE_THREAD, STARTUP_ENVIRON: str(memory)}
    command = [sys.executable, "-m", "loqua_host", *arguments]
    os.execve(sys.executable, command, clean)  # noqa: S606  # no shell is wanted


def safe_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that this process and its children keep.

    NETRC is disabled, so that no client logs in with the user's ~/.netrc. The clients of vaults and
    traces use requests, which has its own variable for certificates.
    """
    allowed = {
        name: value
        for name, value in environ.items()
        if name in ALLOWED or name.startswith(ALLOWED_PREFIXES)
    }
    trusted = environ.get("SSL_CERT_FILE") or environ.get("SSL_CERT_DIR")
    trust = {"REQUESTS_CA_BUNDLE": trusted} if trusted else {}
    return allowed | proxy_variables(environ) | trust | {"NETRC": os.devnull}


def is_process_variable(name: str) -> bool:
    """Return whether a variable counts for the process itself, so that no file can set it."""
    return name in ALLOWED or name.startswith(ALLOWED_PREFIXES) or name.upper() in PROXY_VARIABLES


@contextmanager
def temporary_environ(environ: Mapping[str, str], *prefixes: str) -> Iterator[None]:
    """Put the variables with these prefixes into `os.environ` for the duration of a block.

    For clients that read their own variables when they are created.
    """
    before = dict(os.environ)
    restored = {name: value for name, value in environ.items() if name.startswith(prefixes)}
    os.environ.update(restored)
    try:
        yield
    finally:
        for name in restored:
            del os.environ[name]
        os.environ.update(before)
