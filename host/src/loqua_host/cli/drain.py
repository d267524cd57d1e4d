"""`loqua-host drain`: drain the host that runs on this machine."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import typer

from loqua_host.diagnosis.machine import RunningHost
from loqua_host.errors import ConfigError
from loqua_host.settings.load import load_settings
from loqua_host.settings.secrets import WantedSecrets, read_secrets

__all__ = ["drain_host"]

REFUSED = (
    "no host answers at the address of `ops:`, or it refuses: set ops.port, and the same OPS_TOKEN "
    "for the host and for this command"
)


def drain_host(config: Path, environ: Mapping[str, str], seconds: float) -> int:
    """Drain the host, wait for its lessons to end, and print the result.

    Args:
        config: The configuration of the host.
        environ: The environment variables of the host.
        seconds: How long to wait.

    Returns:
        The exit status: 0 if the host drains, also if lessons still run.
    """
    try:
        settings = load_settings(config, environ)
        secrets = read_secrets(config, environ, WantedSecrets.by(settings))
    except ConfigError as error:
        typer.echo(error, err=True)
        return 1
    host = RunningHost(settings.ops, secrets.ops_tokens())
    drained = asyncio.run(host.drain(seconds))
    if drained is None:
        typer.echo(REFUSED, err=True)
        return 1
    typer.echo(
        "drained" if drained else "draining: lessons still run, and the host accepts no more"
    )
    return 0
