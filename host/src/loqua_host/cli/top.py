"""`loqua-host top`: the status of a running host, in the terminal."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import typer
from rich.console import Console
from rich.live import Live

from loqua_host.diagnosis.machine import RunningHost
from loqua_host.errors import ConfigError, OpsError
from loqua_host.ops.snapshot import HostSnapshot
from loqua_host.settings.load import load_settings
from loqua_host.settings.secrets import read_ops_tokens

from .frame import render_frame

__all__ = ["watch_host"]

EVERY = 2.0
"""Seconds between two snapshots, as on the status page."""


def watch_host(
    config: Path, environ: Mapping[str, str], tutor: str | None = None, *, once: bool
) -> int:
    """Show the status of the host that `ops:` in config/ names, until Ctrl-C.

    Args:
        config: The configuration directory.
        environ: The environment.
        tutor: The tutor to show; None for all.
        once: Whether to show it once instead.

    Returns:
        The exit status: 1 if no host shows its status, or it has no such tutor, else 0.
    """
    console = Console(no_color="NO_COLOR" in environ or None, highlight=False)
    try:
        settings = load_settings(config, environ)
        host = RunningHost(settings.ops, read_ops_tokens(config, environ, settings.secrets))
        snapshot = asyncio.run(_ask(host, tutor))
    except (ConfigError, OpsError) as error:
        typer.echo(error, err=True)
        return 1
    if once:
        console.print(render_frame(snapshot))
        return 0
    with suppress(KeyboardInterrupt), Live(console=console, screen=True) as live:
        asyncio.run(_follow(host, tutor, snapshot, live))
    return 0


async def _follow(host: RunningHost, tutor: str | None, snapshot: HostSnapshot, live: Live) -> None:
    """Show one snapshot after the other; while none comes, the last and the reason."""
    trouble = ""
    while True:
        live.update(render_frame(snapshot, trouble), refresh=True)
        await asyncio.sleep(EVERY)
        try:
            snapshot, trouble = await _ask(host, tutor), ""
        except OpsError as error:
            trouble = str(error)


async def _ask(host: RunningHost, tutor: str | None) -> HostSnapshot:
    snapshot = await host.snapshot()
    if tutor is None:
        return snapshot
    names = [one.name for one in snapshot.tutors]
    if tutor not in names:
        raise OpsError(f"the host has no tutor {tutor}: --tutor takes {', '.join(names)}")
    return snapshot.of_tutor(tutor)
