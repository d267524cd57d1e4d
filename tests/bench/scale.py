"""The number of hosts and cells for very many lessons, and the first limit that is reached.

Run `uv run python -m tests.bench.scale > host/docs/images/very-many.svg`: it plots how much of each
limit is used, and prints the figures to stderr. The costs below are measured by other benches here,
on two busy cores, or are the guide's; each says where it comes from. Every host polls LiveKit for
itself, so that part grows with hosts times rooms.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from loqua_host.lessons.reconciler import POLL_SECONDS
from loqua_host.lessons.room_sweep import QUIET_AT_ONCE, SETTLE_SECONDS, taught_at_once

LESSON_SECONDS: Final = 15 * 60
TICK_SECONDS: Final = 30
"""The guide: progress every 30 seconds."""

TRANSACTIONS_PER_TICK: Final = 3
"""records: progress saved, marked as being sent, deleted once it is delivered."""

TRANSACTIONS_PER_LESSON: Final = 12
"""records: claims, opening, closing with its record, both delivered."""

CALLS_PER_LESSON: Final = 5
"""core: token, context, health, last progress, record."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The measured costs.

    Attributes:
        list_seconds: LiveKit's processor time to list one room of many.
        ask_seconds: LiveKit's processor time for one request about a room.
        list_bytes: The bytes in which one room is listed.
        transaction_seconds: The ledger's time for one transaction on Postgres.
    """

    list_seconds: float
    ask_seconds: float
    list_bytes: float
    transaction_seconds: float


MEASURED: Final = Costs(
    list_seconds=1e-5, ask_seconds=3.5e-4, list_bytes=230, transaction_seconds=1e-2
)
"""tests.bench.rooms_api at 1,000 rooms; a tick's transactions on a Postgres on a busy machine."""


@dataclass(frozen=True, slots=True)
class MeasuredLimits:
    """The measured limits of one machine or server.

    Attributes:
        livekit_cores: Processors of a LiveKit cluster that may be spent on hosts' polling.
        transactions_at_once: Transactions that Postgres commits at a time, over as many cores.
        connections: Connections of one Postgres, one for each host's ledger. Its default is 100.
        network: Bytes a second of room lists that a LiveKit node sends: a tenth of 10 Gbit/s.
        api_calls: Calls a second that one deployment of the API is to answer.
        media: Lessons on one LiveKit cluster, assumed to have ten nodes of 16 cores with 1,500
            lessons each. LiveKit's own figures are of large rooms, not of many small ones
            (https://docs.livekit.io/transport/self-hosting/benchmark/): measure yours.
    """

    livekit_cores: float = 4
    transactions_at_once: float = 8
    connections: float = 500
    network: float = 125e6
    api_calls: float = 5_000
    media: float = 10 * 1_500


@dataclass(frozen=True, slots=True)
class HostDesign:
    """The design of a host: what determines the cost of a poll of the rooms.

    Attributes:
        places: Lessons of one host.
        sweep: Whether quiet rooms are read in turns; if not, each host reads all of them, also
            those in which it does not teach.
    """

    places: int
    sweep: bool


BEFORE: Final = HostDesign(10, sweep=False)
NOW: Final = HostDesign(10, sweep=True)
"""The guide's table: 8 to 10 lessons on 2 cores."""

LARGE: Final = HostDesign(80, sweep=True)
"""Hosts of 16 cores."""


def used(
    lessons: float, hosts: HostDesign, costs: Costs, limits: MeasuredLimits
) -> Mapping[str, float]:
    """Return how much of each limit a cell with so many lessons uses; 1 is all of it.

    Args:
        lessons: Concurrent lessons, each in a room of its own.
        hosts: How its hosts are.
        costs: What things cost.
        limits: What there is.
    """
    number = math.ceil(lessons / hosts.places)
    begun = lessons / LESSON_SECONDS
    changing = 2 * begun * SETTLE_SECONDS  # each room is read for a while after both its ends
    in_turn = taught_at_once(hosts.places) + QUIET_AT_ONCE
    read = min(lessons, in_turn + changing) if hosts.sweep else lessons
    polls = number / POLL_SECONDS
    transactions = lessons / TICK_SECONDS * TRANSACTIONS_PER_TICK + begun * TRANSACTIONS_PER_LESSON
    calls = lessons / TICK_SECONDS + begun * CALLS_PER_LESSON
    processors = polls * (lessons * costs.list_seconds + 2 * read * costs.ask_seconds)
    return {
        "LiveKit: polling": processors / limits.livekit_cores,
        "LiveKit: lists on the network": polls * lessons * costs.list_bytes / limits.network,
        "LiveKit: media": lessons / limits.media,
        "Postgres: transactions": transactions
        * costs.transaction_seconds
        / limits.transactions_at_once,
        "Postgres: connections": number / limits.connections,
        "API: calls": calls / limits.api_calls,
    }


def most(hosts: HostDesign, costs: Costs, limits: MeasuredLimits, share: float = 0.7) -> int:
    """Return the most lessons at which no limit is used by more than a share."""
    low, high = 1, 10_000_000
    while low < high:
        middle = (low + high + 1) // 2
        fits = max(used(middle, hosts, costs, limits).values()) <= share
        low, high = (middle, high) if fits else (low, middle - 1)
    return low


def row(lessons: int, costs: Costs, limits: MeasuredLimits) -> dict[str, object]:
    """Return the figures of so many lessons, in one cell and in as many as it takes."""
    shares = {kind: used(lessons, hosts, costs, limits) for kind, hosts in KINDS.items()}
    return {
        "lessons": lessons,
        "hosts": {kind: math.ceil(lessons / hosts.places) for kind, hosts in KINDS.items()},
        "first_to_give": {kind: max(it, key=lambda name: it[name]) for kind, it in shares.items()},
        "shares": {
            kind: {name: round(share, 3) for name, share in it.items()}
            for kind, it in shares.items()
        },
        "cells": {
            kind: math.ceil(lessons / most(hosts, costs, limits)) for kind, hosts in KINDS.items()
        },
    }


KINDS: Final = {"before": BEFORE, "now": NOW, "large hosts": LARGE}

WIDTH, HEIGHT, MARGIN = 960, 420, 50
COLOURS: Final = ("#c22", "#e80", "#888", "#1668b0", "#2a8", "#717")
DECADES: Final = range(2, 7)
LEAST, MOST = -3, 6
"""The powers of ten between which shares are drawn."""


def plot(costs: Costs, limits: MeasuredLimits) -> Iterator[str]:
    """Yield the lines of an SVG: the share of each limit that is used, by lessons in one cell."""
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
    yield "<style>text{font:12px sans-serif}polyline{fill:none;stroke-width:1.5}</style>"
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    yield f'<text x="{MARGIN}" y="20">share of each limit, by concurrent lessons in one cell</text>'
    for decade in DECADES:
        x = _x(10**decade)
        yield f'<text x="{x:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{10**decade:,}</text>'
    for power in range(LEAST, MOST + 1):
        y, stroke = _y(10**power), "#444" if power == 0 else "#ddd"
        yield f'<path d="M{MARGIN} {y:.0f}H{WIDTH - MARGIN}" stroke="{stroke}"/>'
        yield f'<text x="4" y="{y:.0f}">{10.0**power:g}</text>'
    steps = [10 ** (tenth / 10) for tenth in range(10 * DECADES[0], 10 * DECADES[-1] + 1)]
    names = [*used(1, NOW, costs, limits)]
    for index, (name, colour) in enumerate(zip(names, COLOURS, strict=True)):
        yield _line(steps, [used(it, NOW, costs, limits)[name] for it in steps], colour)
        y = 40 + 16 * index
        yield f'<text x="{MARGIN + 12}" y="{y}" fill="{colour}">{name}</text>'
    polling = [used(it, BEFORE, costs, limits)["LiveKit: polling"] for it in steps]
    yield _line(steps, polling, COLOURS[0], 'stroke-dasharray="4 4"')
    y = 40 + 16 * len(names)
    yield (
        f'<text x="{MARGIN + 12}" y="{y}" fill="{COLOURS[0]}">'
        "dashed: polling, if each host reads every room</text>"
    )
    yield "</svg>"


def _line(steps: list[float], shares: list[float], colour: str, style: str = "") -> str:
    points = " ".join(
        f"{_x(step):.1f},{_y(share):.1f}" for step, share in zip(steps, shares, strict=True)
    )
    return f'<polyline points="{points}" stroke="{colour}" {style}/>'


def _x(lessons: float) -> float:
    part = (math.log10(lessons) - DECADES[0]) / (DECADES[-1] - DECADES[0])
    return MARGIN + (WIDTH - 2 * MARGIN) * part


def _y(share: float) -> float:
    part = (min(max(math.log10(share), LEAST), MOST) - LEAST) / (MOST - LEAST)
    return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * part


def main() -> None:
    """Plot on stdout, with the figures on stderr."""
    limits = MeasuredLimits()
    sys.stdout.writelines(f"{line}\n" for line in plot(MEASURED, limits))
    figures = {
        "most_in_a_cell": {kind: most(hosts, MEASURED, limits) for kind, hosts in KINDS.items()},
        "scales": [row(10**power, MEASURED, limits) for power in (3, 5, 6)],
    }
    sys.stderr.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
