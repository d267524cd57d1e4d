"""`loqua-host region`: the active region."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from loqua_host.records.regions import RegionState

from .config import CONFIG, Config
from .ledger import fail, open_ledger

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Show or activate a region.")

NONE = "the ledger knows no regions: set regions: in config/host.yaml, and start a host once"


@app.command()
def show(config: Config = CONFIG) -> None:
    """Print which region teaches, and how many hosts of each are ready."""
    with open_ledger(config) as ledger:
        state = ledger.regions()
    if state is None:
        fail(NONE)
    typer.echo(_describe(state))


@app.command()
def activate(
    region: Annotated[str, typer.Argument(help="The region's name, as in `regions:`.")],
    config: Config = CONFIG,
) -> None:
    """Make another region the one that teaches.

    Its hosts begin to serve within five seconds. Those of the other region begin no more lessons,
    and go on with those that run.
    """
    with open_ledger(config) as ledger:
        state = ledger.activate_region(region)
    if state is None:
        fail(NONE)
    if state.active != region:
        fail(f"no host of {region} has run within the last hour: correct the name, or start one")
    typer.echo(_describe(state))


def _describe(state: RegionState) -> str:
    since = datetime.fromtimestamp(state.since, UTC).isoformat(timespec="seconds")
    ready = {state.active: 0, **state.ready_hosts}
    hosts = "\n".join(f"{name}: {count} ready hosts" for name, count in sorted(ready.items()))
    return f"{state.active} teaches since {since}\n{hosts}"
