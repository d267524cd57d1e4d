"""The page of commands, from the command line itself."""

import html
import re

import typer.main
from typer import Context
from typer.cli import get_docs_for_click

from loqua_host.cli import app

__all__ = ["render_commands"]


def render_commands() -> str:
    """Return the page: each command with its arguments and options."""
    command = typer.main.get_command(app)
    written = get_docs_for_click(obj=command, ctx=Context(command), name="loqua-host")
    pages = html.unescape(written).replace("<", "\\<")
    # An option that every command has, and a list of commands that the headings repeat.
    pages = re.sub(r"\*\*Options\*\*:\n\n\* `--help`.*\n+|\* `--help`: .*\n", "", pages)
    return re.sub(r"^#+ `loqua-host`", "# Commands", pages)
