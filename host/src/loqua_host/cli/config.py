"""The option --config, which most commands take."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["CONFIG", "Config", "existing"]

CONFIG = Path("config")


def existing(config: Path | None) -> Path | None:
    """Return the directory, if one is named.

    Raises:
        BadParameter: It does not exist.
    """
    if config and not config.is_dir():
        init = shlex.join(("loqua-host", "init", str(config)))
        raise typer.BadParameter(f"there is no directory {config}: `{init}` writes one")
    return config


Config = Annotated[
    Path,
    typer.Option(
        help="The configuration directory, with host.yaml, environments/ and tutors/.",
        callback=existing,
    ),
]
