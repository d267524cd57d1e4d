"""Files of the host that Landlock denies to jobs: those with secrets, and the ledger."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from loqua_host.core.secrets import VAULT_LOGIN_PREFIXES

from .host import HostSettings

__all__ = ["ledger_files", "protected_files"]

_NAMES_A_FILE: Final = "_FILE"
"""The suffix of variables that name files with credentials (AWS_WEB_IDENTITY_TOKEN_FILE)."""


_BESIDE: Final = ("", "-wal", "-shm", "-journal")
"""The suffixes of SQLite's files (https://www.sqlite.org/tempfiles.html)."""


def ledger_files(settings: HostSettings) -> Iterator[Path]:
    """Yield the files and directories in which the host keeps lessons and records."""
    ledger = settings.ledger
    for suffix in _BESIDE:
        yield ledger.path.with_name(f"{ledger.path.name}{suffix}")
    yield ledger.spool_directory
    if ledger.captures:
        yield ledger.captures


def protected_files(settings: HostSettings, environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the paths: mounted secrets, vault credentials, the key of the ops certificate."""
    secrets = settings.secrets
    if secrets.place == "files":
        yield secrets.files.directory
    if secrets.place == "vault" and secrets.vault and secrets.vault.login == "kubernetes":
        yield secrets.vault.service_account
    if settings.ops.tls:
        yield settings.ops.tls.key
    for name, value in environ.items():
        if name.startswith(VAULT_LOGIN_PREFIXES) and name.endswith(_NAMES_A_FILE) and value:
            yield Path(value)
