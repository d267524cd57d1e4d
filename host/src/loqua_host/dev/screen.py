"""The format of lines on a terminal: lessons in full, the host's log short and dim."""

import re
import textwrap
from functools import partial

import typer

__all__ = ["fitted"]

_LOGGED = re.compile(
    r"\[[^T\]]+T(?P<time>[\d:]{8})[^\]]*\] \[(?P<level>INFO|WARNING)\]"
    r" \[[^\]]*\] \[[^\]]*\] \[(?P<learner>[^\]]*)\] (?P<said>.*)"
)
"""A line of loqua_host.ops.logs; errors are worth their length."""

_fill = partial(
    textwrap.fill,
    subsequent_indent=" " * 6,
    break_long_words=False,
    break_on_hyphens=False,
    placeholder=" …",
)


def fitted(line: str, width: int) -> str:
    """Return a line as it is shown on a terminal of so many columns."""
    logged = _LOGGED.fullmatch(line)
    if logged is None:
        return _fill(line, width)
    short = " ".join(filter(None, (logged["time"], logged["learner"].strip("-"), logged["said"])))
    if logged["level"] == "INFO":
        return typer.style(_fill(short, width, max_lines=1), dim=True)
    return typer.style(_fill(short, width, max_lines=2), fg=typer.colors.YELLOW)
