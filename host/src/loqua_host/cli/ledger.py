"""The ledger, for commands that read or change it beside the hosts."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Never

import typer

from loqua_host.errors import ConfigError, LedgerError
from loqua_host.records.admin import LedgerAdmin
from loqua_host.records.captures import Captures
from loqua_host.records.database import database_at
from loqua_host.records.encryption import KeyRing
from loqua_host.settings.load import load_settings
from loqua_host.settings.secrets import read_ledger_secrets
from loqua_host.system.process import take_startup_environ

__all__ = ["fail", "open_ledger", "open_records"]


@contextmanager
def open_ledger(config: Path) -> Iterator[LedgerAdmin]:
    """Open the ledger of a configuration for the duration of a block; exit if that fails."""
    with open_records(config) as (ledger, _):
        yield ledger


@contextmanager
def open_records(config: Path) -> Iterator[tuple[LedgerAdmin, Captures | None]]:
    """Open the ledger, and the captures of lessons if the host keeps any; exit if that fails."""
    environ = take_startup_environ(sys.argv[1:])
    try:
        settings = load_settings(config, environ)
        secrets = read_ledger_secrets(config, environ, settings.secrets)
        database = database_at(settings.ledger.path, secrets.open_url())
        directory, keys = settings.ledger.captures, secrets.open_keys()
        with LedgerAdmin.open(database, keys) as ledger:
            yield ledger, Captures(directory, KeyRing(keys)) if directory else None
    except (ConfigError, LedgerError) as error:
        fail(str(error))


def fail(why: str) -> Never:
    """Print why the command fails, and exit with status 1."""
    typer.echo(why, err=True)
    raise typer.Exit(1)
