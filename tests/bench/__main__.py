"""The resource use of loqua-host and its alternatives: `uv run python -m tests.bench`.

Names choose what is measured; without one, all is, in half an hour a round. Each figure is measured
on all sides in turns, in one run, with the same LiveKit server, learners, agent and engines; what
counts is the ratio of the medians. All values are kept in `tests/bench/results.json`, in which rows
that are not measured keep theirs. From it come the tables and pictures in README.md and
host/docs/benchmarks.md; that page says what each side does and does not do.
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Final

from tests.bench.api_process import run_dev_api
from tests.bench.figures import BARE, OURS, WITH_WEBHOOKS, Figures, load, save
from tests.bench.overheads import OVERHEADS
from tests.bench.report import write_report
from tests.bench.scenarios import SCENARIOS, Found, SystemUnderTest
from tests.bench.systems import PEERS, LoquaHost, System, install_peers
from tests.integration.host.conftest import Deployment

from loqua_host.dev.livekit import run_livekit
from loqua_host.dev.ports import free_port

log = logging.getLogger(__name__)

ROUNDS: Final = 3
LONGEST: Final = 600.0
"""Seconds after which a scenario has failed."""

HEARD: Final = frozenset({"entering", "burst", "job-killed", "host-killed"})
"""The scenarios in which it matters whether LiveKit tells the host who enters and leaves."""

BESIDE_BARE: Final = frozenset({"real-time", "more-lessons", "more-tutors"})
"""The scenarios that take long and are measured beside livekit-agents only."""


async def compare(scenarios: Sequence[str], rounds: int, figures: Figures) -> None:
    """Measure whole hosts, all sides in turns; what is measured is kept at once."""
    found: defaultdict[str, defaultdict[str, list[float]]]
    found = defaultdict(lambda: defaultdict(list))
    with tempfile.TemporaryDirectory(prefix="loqua-bench-") as directory:
        port = free_port()
        systems = [*install_peers(), LoquaHost(OURS), LoquaHost(WITH_WEBHOOKS, port)]
        turns = product(range(rounds), scenarios, systems)
        async with _deployment(Path(directory), port) as deployment:
            for number, name, system in turns:
                if takes_part(system.name, name):
                    place = Path(directory) / f"{number}-{name}-{system.name}"
                    for row, values in (await _measure(name, system, deployment, place)).items():
                        found[row][system.name] += values
                    figures |= found
                    save(figures)


def takes_part(system: str, scenario: str) -> bool:
    """Return whether a system is measured in a scenario."""
    if scenario in BESIDE_BARE:
        return system in {BARE, OURS}
    return system != WITH_WEBHOOKS or scenario in HEARD


async def _measure(name: str, system: System, deployment: Deployment, directory: Path) -> Found:
    """Return the figures of a scenario; none if it has failed, which must not end the others."""
    try:
        async with asyncio.timeout(LONGEST):
            found = await SCENARIOS[name](SystemUnderTest(system, deployment, directory))
    except Exception:  # whatever it was, it is in the log
        log.exception("%s of %s failed", name, system.name)
        return {}
    print(name, system.name, json.dumps(found), file=sys.stderr)  # noqa: T201  # progress
    return found


def _measure_part(name: str, rounds: int) -> Figures:
    """Return the figures of a part; none if that has failed."""
    try:
        found = OVERHEADS[name](rounds)
    except Exception:  # as above
        log.exception("%s failed", name)
        return {}
    print(name, json.dumps(found), file=sys.stderr)  # noqa: T201  # progress
    return found


@asynccontextmanager
async def _deployment(directory: Path, port: int) -> AsyncIterator[Deployment]:
    """Yield a LiveKit server that sends webhooks to a port, and an API."""
    webhook = f"http://127.0.0.1:{port}/livekit/webhook"
    async with run_livekit(webhook=webhook) as livekit, run_dev_api(livekit) as api:
        yield Deployment(livekit, api, PEERS, directory)


def main() -> None:
    """Measure and write the report."""
    names = [*SCENARIOS, *OVERHEADS]
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each side, in turns")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: write some of {', '.join(names)}")
    chosen = arguments.names or names
    figures = load()
    for part in [name for name in OVERHEADS if name in chosen]:
        figures |= _measure_part(part, arguments.rounds)
        save(figures)
    if scenarios := [name for name in SCENARIOS if name in chosen]:
        asyncio.run(compare(scenarios, arguments.rounds, figures))
    write_report(figures)


if __name__ == "__main__":
    main()
