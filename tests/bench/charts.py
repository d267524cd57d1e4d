"""Line charts as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from math import log10
from statistics import median
from typing import Final

__all__ = ["Series", "draw"]

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 460, 34, 264
"""The edges of the grid, in pixels; names stand right of it."""

COLOURS: Final = ("#7a7a7a", "#b5651d", "#8a5fb5", "#2a78b5")
STYLE: Final = "text{fill:#333}@media (prefers-color-scheme:dark){text{fill:#ddd}}"
WIDE: Final = 100
"""How much more the most is than the least where distances are of powers of ten."""


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart: its name, and the values at each x."""

    name: str
    values: Sequence[tuple[float, Sequence[float]]]

    @property
    def points(self) -> Sequence[tuple[float, float]]:
        """The median at each x."""
        return [(x, median(of)) for x, of in self.values]


def draw(title: str, lines: Sequence[Series]) -> str:
    """Return a picture of lines through medians, with bars from the least value to the greatest.

    All lines begin at the same x, above 0.
    """
    xs = sorted({x for line in lines for x, _ in line.values})
    top = max(y for line in lines for _, of in line.values for y in of)

    def place(x: float, y: float) -> tuple[float, float]:
        return LEFT + (RIGHT - LEFT) * _share(x, xs), BOTTOM - (BOTTOM - TOP) * y / top

    grid = [
        *(_text(place(x, 0)[0], BOTTOM + 18, f"{x:,}", "middle") for x in xs),
        *(_text(LEFT - 6, place(xs[0], y)[1] + 4, _digits(y), "end") for y in (0, top / 2, top)),
    ]
    coloured = zip(lines, cycle(COLOURS), strict=False)
    ranked = sorted(coloured, key=lambda it: -it[0].points[-1][1])
    drawn = [
        _line([place(*point) for point in line.points], colour)
        + "".join(_bar(place(x, min(of)), place(x, max(of)), colour) for x, of in line.values)
        + _name(number, line.name, colour)
        for number, (line, colour) in enumerate(ranked)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{title}" font-family="sans-serif" font-size="12"><style>{STYLE}</style>\n'
        f"{_text(LEFT, 16, title, 'start')}"
        f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" fill="none" stroke="#888"/>\n'
        f"{''.join(grid)}{''.join(drawn)}</svg>\n"
    )


def _digits(y: float) -> str:
    return f"{y:,.0f}" if y >= 100 else f"{y:.3g}"  # three digits


def _share(x: float, xs: Sequence[float]) -> float:
    """Return how far right an x is, from 0 to 1."""
    least, most = xs[0], xs[-1]
    if most >= WIDE * least:
        return log10(x / least) / log10(most / least)
    return x / most


def _line(points: Sequence[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}\n'


def _bar(low: tuple[float, float], high: tuple[float, float], colour: str) -> str:
    return f'<path d="M{low[0]:.1f} {low[1]:.1f}V{high[1]:.1f}" stroke="{colour}"/>'


def _name(number: int, name: str, colour: str) -> str:
    """Return a line's entry right of the grid: the first is of the highest."""
    y = TOP + 20 * number
    return (
        f'<rect x="{RIGHT + 16}" y="{y}" width="12" height="12" fill="{colour}"/>'
        f"{_text(RIGHT + 34, y + 11, name, 'start')}"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>\n'
