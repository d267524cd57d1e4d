"""The command line."""

from pathlib import Path
from typing import Annotated

import typer

from . import run as running

__all__ = ["main"]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A home for LiveKit language tutors.",
)

Config = Annotated[Path, typer.Option(help="The directory with host.yaml, environments/, tutors/")]


@app.command()
def run(config: Config = Path("config")) -> None:
    """Run the tutors that config/ enables, until SIGTERM or Ctrl-C."""
    raise SystemExit(running.run(config))


def main() -> None:
    """Run the command line."""
    app()
