"""How lines look on a terminal: lessons in full, and each line of the host's log short and dim."""

import re
import textwrap

import typer

__all__ = ["fitted"]

_INDENT = " " * 6
_LOGGED = re.compile(
    r"\[[^T\]]+T(?P<time>[\d:]{8})[^\]]*\] \[INFO\]"
    r" \[[^\]]*\] \[[^\]]*\] \[(?P<learner>[^\]]*)\] (?P<said>.*)"
)
"""A line of loqua_host.ops.logs; warnings and errors are worth their length."""


def fitted(line: str, width: int) -> str:
    """Give a line as it is shown on a terminal of so many columns."""
    logged = _LOGGED.fullmatch(line)
    if logged is None:
        return textwrap.fill(
            line,
            width,
            subsequent_indent=_INDENT,
            break_long_words=False,
            break_on_hyphens=False,
        )
    time, learner, said = logged["time"], logged["learner"], logged["said"]
    short = f"{time} {said}" if learner == "-" else f"{time} {learner} {said}"
    return typer.style(short if len(short) <= width else f"{short[: width - 1]}…", dim=True)
