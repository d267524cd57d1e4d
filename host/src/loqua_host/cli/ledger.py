"""The ledger, for commands that read or change it beside the hosts."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Never

import typer

from loqua_host.errors import ConfigError, LedgerError
from loqua_host.records.admin import LedgerAdmin
from loqua_host.records.database import database_at
from loqua_host.settings.load import load_settings
from loqua_host.settings.secrets import read_ledger_secrets
from loqua_host.system.process import seal

__all__ = ["fail", "open_ledger"]


@contextmanager
def open_ledger(config: Path) -> Iterator[LedgerAdmin]:
    """Open the ledger of a configuration for the duration of a block; exit if that fails."""
    environ = seal(sys.argv[1:])
    try:
        settings = load_settings(config, environ)
        secrets = read_ledger_secrets(config, environ, settings.secrets)
        database = database_at(settings.ledger.path, secrets.open_url())
        with LedgerAdmin.open(database, secrets.open_keys()) as ledger:
            yield ledger
    except (ConfigError, LedgerError) as error:
        fail(str(error))


def fail(why: str) -> Never:
    """Print why the command fails, and exit with status 1."""
    typer.echo(why, err=True)
    raise typer.Exit(1)
