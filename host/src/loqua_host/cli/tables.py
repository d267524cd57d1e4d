"""Tables on standard output."""

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["print_table"]

UNBOUNDED = 10_000
"""The columns of output that is no terminal: programs get each row on one line."""


def print_table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table; in a terminal, long cells are folded to its width."""
    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(Text, row))
    Console(width=None if sys.stdout.isatty() else UNBOUNDED).print(table)
