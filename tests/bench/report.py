"""The tables and charts of the values."""

import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.charts import Series, draw
from tests.bench.figures import BARE, OURS, WITH_WEBHOOKS, Figures, ratio

__all__ = ["write_report"]

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "host" / "docs" / "benchmarks.md"
README: Final = ROOT / "README.md"
IMAGES: Final = PAGE.parent / "images"
NOBODY: Final = "never"
BEGIN, END = "<!-- bench: {} -->", "<!-- end -->"
"""Around what is written into a document; nothing else of it is touched."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Attributes:
        what: What is measured.
        unit: The unit that it is shown in.
        target: The ratio to reach.
        per: How many of the measured unit make one of those.
        peer: What the ratio is of.
    """

    what: str
    unit: str
    target: str
    per: float = 1.0
    peer: str = BARE


Cell = Callable[[Sequence[float], Row], str]

HOSTS: Final = {
    "start": Row("start → three tutors registered", "s", "≤ 0.6"),
    "start_cpu": Row("the same, processor time", "s", "-"),
    "idle": Row("idle, three tutors", "MB", "≤ 0.30", 1e6),
    "further_tutor": Row("each further tutor", "MB", "≤ 8 MB", 1e6),
    "lesson_memory": Row("each live lesson", "MB", "≤ 0.45", 1e6),
    "lesson_cores": Row("each live lesson, processor", "cores", "≤ 0.8"),
    "listening": Row("learner enters → tutor listens", "s", "≤ 1.03"),
    "first_sound": Row("learner enters → first sound", "s", "≤ 1.00"),
    "burst_listening_p95": Row("10 learners at once → tutor listens, p95", "s", "≤ 0.8"),
    "burst_sound": Row("10 at once → first sound, median", "s", "≤ 1.0"),
    "burst_sound_p95": Row("10 at once → first sound, p95", "s", "≤ 1.1"),
    "burst_alone": Row("10 at once, left alone", "learners", "0"),
    "job_killed_listening": Row("job killed → tutor listens", "s", "≤ 0.35 s"),
    "job_killed_sound": Row("job killed → first sound", "s", "≤ 0.40 s"),
    "host_killed_listening": Row("host killed, six learners → tutor listens", "s", "≤ 3 s"),
    "host_killed_sound_p95": Row("host killed → first sound, p95", "s", "≤ 4 s"),
    "carried": Row("lessons in real time, engines that take no time", "", "≥ 1.5"),
    "carried_spoken": Row("lessons in real time, offline speech", "", "≥ 4"),
    "ticking_cores": Row("1,000 lessons that tick, processor", "% of a core", "≤ 10 %", 0.01),
    "ticking_p99": Row("1,000 lessons that tick, p99 until it is kept", "ms", "≤ 20 ms", 1e-3),
}
"""Whole hosts."""

PARTS: Final = {
    "hook_call": Row("a hook call, processor time", "µs", "≤ 50 µs more", 1e-6, "pluggy"),
    "api_calls": Row("API calls, more is better", "/s", "≥ 0.9", peer="httpx"),
    "api_call_p99": Row("an API call, p99", "ms", "-", 1e-3, "httpx"),
    **{
        f"ledger/rows/{rows}": Row(
            f"progress kept with {rows:,} rows there, more is better",
            "/s",
            "≥ 3",
            peer="single commits",
        )
        for rows in (1_000, 10_000, 100_000, 1_000_000)
    },
}
"""Parts of the host."""

IN_README: Final = (
    "start",
    "idle",
    "further_tutor",
    "lesson_memory",
    "lesson_cores",
    "listening",
    "first_sound",
    "burst_listening_p95",
    "job_killed_listening",
    "host_killed_listening",
    "carried",
    "carried_spoken",
    "ticking_cores",
)

PICTURES: Final = {
    "lessons/memory": ("memory of live lessons", "MB", 1e6),
    "lessons/cores": ("processor of live lessons", "cores", 1.0),
    "tutors/memory": ("idle memory by tutors", "MB", 1e6),
    "tutors/start": ("start by tutors", "s", 1.0),
    "talks/reply": ("last word → first sound by lessons, p95", "s", 1.0),
    "spoken/reply": ("the same with offline speech", "s", 1.0),
    "ledger/rows": ("rows of progress a second by rows there", "/s", 1.0),
    "rooms/look": ("a look of the reconciler by rooms, processor", "s", 1.0),
}
"""What grows: title, unit and how much of what is measured makes one of it."""


def write_report(figures: Figures) -> None:
    """Write tables and pictures from the values of all rows."""
    _replace(PAGE, "machine", f"{_machine()}\n")
    _replace(PAGE, "hosts", _hosts(figures, tuple(HOSTS), _spread))
    _replace(PAGE, "parts", _parts(figures))
    _replace(README, "hosts", _hosts(figures, IN_README, _middle))
    _replace(PAGE, "growth", "".join(_draw(figures, name) for name in PICTURES))


def _machine() -> str:
    return (
        f"Last measured on {datetime.now(UTC):%Y-%m-%d}, with Python {platform.python_version()} "
        f"on {os.cpu_count()} cores."
    )


def _draw(figures: Figures, name: str) -> str:
    """Draw what grows, and return the reference to the picture; nothing if it was not measured."""
    title, unit, per = PICTURES[name]
    if not (lines := _lines(figures, name, per)):
        return ""
    file = IMAGES / f"bench-{name.replace('/', '-')}.svg"
    file.write_text(draw(f"{title}, {unit}", lines))
    return f"![{title}](images/{file.name})\n"


def _hosts(figures: Figures, names: Sequence[str], cell: Cell) -> str:
    systems = [*dict.fromkeys(system for name in names for system in figures.get(name, ()))]
    systems.sort(key=lambda system: system.startswith(OURS))
    head = ["", *systems, "ratio", "target"]
    rows = [
        [
            row.what,
            *(cell(of, row) if (of := figures[name].get(system)) else "" for system in systems),
            *_ratios(figures[name], row),
        ]
        for name in names
        if name in figures and (row := HOSTS[name])
    ]
    return _markdown(head, rows)


def _parts(figures: Figures) -> str:
    rows = [
        [
            row.what,
            row.peer,
            *(_spread(figures[name][system], row) for system in (row.peer, OURS)),
            *_ratios(figures[name], row),
        ]
        for name, row in PARTS.items()
        if name in figures
    ]
    return _markdown(["", "peer", "its figure", OURS, "ratio", "target"], rows)


def _ratios(systems: Mapping[str, Sequence[float]], row: Row) -> list[str]:
    """Return our ratios, without and with webhooks, and the target."""
    ours = [system for system in (OURS, WITH_WEBHOOKS) if system in systems and row.peer in systems]
    ratios = [ratio(systems, system, row.peer) for system in ours]
    return [" / ".join("-" if math.isnan(it) else f"{it:.2f}" for it in ratios), row.target]


def _middle(values: Sequence[float], row: Row) -> str:
    middle = _digits(median(values) / row.per)
    return middle if middle == NOBODY else f"{middle} {row.unit}".rstrip()


def _spread(values: Sequence[float], row: Row) -> str:
    low, high = (_digits(it / row.per) for it in (min(values), max(values)))
    middle = _middle(values, row)
    return middle if low == high else f"{middle} ({low} to {high})"


def _digits(value: float) -> str:
    if math.isinf(value):
        return NOBODY
    value = max(value, 0)  # less than nothing is noise
    return f"{value:.0f}" if value >= 20 else f"{value:.3g}"


def _lines(figures: Figures, name: str, per: float) -> list[Series]:
    """Return a line for each side of what grows, from rows such as `lessons/memory/5`.

    A side for which nobody ever came has none.
    """
    rows = {
        int(row.removeprefix(f"{name}/")): systems
        for row, systems in figures.items()
        if row.startswith(f"{name}/")
    }
    found: dict[str, list[tuple[float, Sequence[float]]]] = {}
    for at in sorted(rows):
        for system, values in rows[at].items():
            if math.isfinite(median(values)):
                finite = [value / per for value in values if math.isfinite(value)]
                found.setdefault(system, []).append((at, finite))
    return [Series(system, of) for system, of in found.items()]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _replace(document: Path, name: str, text: str) -> None:
    """Write a text between the marks of a name."""
    written = document.read_text()
    before, _, rest = written.partition(BEGIN.format(name))
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN.format(name)}\n\n{text}\n{END}{after}")
