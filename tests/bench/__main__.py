"""What parts of the host cost beside their peers: `uv run python -m tests.bench`.

Both sides of a row are measured in turns, in one run; what counts is the ratio of their medians.
Prints a table and writes all values as JSON with `--json FILE`.

What the host does and its peer does not:

- a hook call, beside pluggy's: a task, the time limit, a span, a check of what it returns;
- an API call, beside httpx's: breaker, rate limits, retries, a trace, a check of the answer;
- a row of progress, beside a committed insert: encryption and a second statement, of 20 lessons at
  once.
"""

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench import core_calls, hooks, ledger

ROUNDS: Final = 20

Figures = Mapping[str, Mapping[str, Sequence[float]]]
"""All values by row and side: the peer first, then the host."""


def measure(rounds: int) -> Figures:
    """Return the values of so many rounds."""
    called = asyncio.run(hooks.compare(rounds))
    calls = core_calls.compare(rounds)
    kept = asyncio.run(ledger.compare("sqlite", 0, rounds))["rates"]
    return {
        "seconds of a hook call": called,
        "API calls a second": {side: [one.rate for one in of] for side, of in calls.items()},
        "seconds of an API call, p99": {
            side: [one.p99 for one in of] for side, of in calls.items()
        },
        "rows of progress a second": kept,
    }


def table(figures: Figures) -> str:
    """Return the medians with their ranges, and the ratio of the host to its peer."""
    lines = ["| | peer | its figure | loqua-host | ratio |", "|---|---|---|---|---|"]
    for row, sides in figures.items():
        [(peer, theirs), (_, ours)] = sides.items()
        ratio = median(ours) / median(theirs)
        lines.append(f"| {row} | {peer} | {_spread(theirs)} | {_spread(ours)} | {ratio:.2f} |")
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    return f"{median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each row")
    parser.add_argument("--json", type=Path, help="where to write all values")
    arguments = parser.parse_args()
    figures = measure(arguments.rounds)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(table(figures))  # noqa: T201  # the result


if __name__ == "__main__":
    main()
