"""Problems on standard error."""

from collections.abc import Iterable

import typer

from loqua_host.errors import Problem

__all__ = ["print_problems"]


def print_problems(problems: Iterable[Problem], kind: str = "") -> None:
    """Print each problem: where, what, and what to do about it.

    Args:
        problems: The problems.
        kind: What they are, before each.
    """
    for problem in problems:
        typer.echo(f"\n{kind}{problem.where}\n  {problem.what}\n  → {problem.hint}", err=True)
