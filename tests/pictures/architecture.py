"""The picture of the packages, drawn by `python -m tests.pictures.architecture`.

It comes from the import contracts in pyproject.toml, which `lint-imports` enforces, and from the
first line of each package's docstring.
"""

import ast
import textwrap
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["PICTURE", "draw"]

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "host/docs/images/architecture.svg"
SOURCE = ROOT / "host/src"

WIDTH, MARGIN, GAP = 960, 20, 8
LINE, LETTER = 17, 6.7
"""Pixels of a line, and of a letter of descriptions on average."""

HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"
  aria-labelledby="title" font-family="system-ui, -apple-system, Segoe UI, sans-serif">
<title id="title">The packages of loqua-host. Imports point down only.</title>
<style>
  .paper {{ fill: #f4f5f7 }} .cell {{ fill: #fff; stroke: #d5dae1 }}
  .name {{ fill: #17202b; font-size: 14px; font-weight: 600 }}
  .text, .note {{ fill: #566172; font-size: 12.5px }}
  @media (prefers-color-scheme: dark) {{
    .paper {{ fill: #0f1318 }} .cell {{ fill: #181e25; stroke: #2b343f }}
    .name {{ fill: #e8edf3 }} .text, .note {{ fill: #9dabbb }}
  }}
</style>
<rect class="paper" width="{width}" height="{height}" rx="10"/>
"""


def draw() -> str:
    """Return the picture as SVG."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layered, *others = contracts["contracts"]
    parts, top = [], MARGIN
    for layer in layered["layers"]:
        cells = [(name.strip(), _describe(name.strip())) for name in layer.split("|")]
        height = _height(cells)
        parts += _row(cells, top, height)
        top += height + GAP
    for note in [layered["name"], *map(_note, others)]:
        top += LINE
        parts.append(f'<text class="note" x="{MARGIN}" y="{top}">{escape(note)}</text>\n')
    return HEAD.format(width=WIDTH, height=top + MARGIN) + "".join(parts) + "</svg>\n"


def _describe(module: str) -> str:
    """Return the first line of a package's or a module's docstring."""
    path = SOURCE / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return docstring.partition("\n")[0].rstrip(".").replace("`", "")


def _cell_width(cells: Sequence[tuple[str, str]]) -> float:
    return (WIDTH - 2 * MARGIN - GAP * (len(cells) - 1)) / len(cells)


def _lines(text: str, width: float) -> list[str]:
    return textwrap.wrap(text, int((width - 24) / LETTER))


def _height(cells: Sequence[tuple[str, str]]) -> int:
    width = _cell_width(cells)
    return 32 + LINE * max(len(_lines(text, width)) for _, text in cells)


def _row(cells: Sequence[tuple[str, str]], top: int, height: int) -> Iterator[str]:
    width = _cell_width(cells)
    for at, (name, text) in enumerate(cells):
        left = MARGIN + at * (width + GAP)
        box = f'x="{left:g}" y="{top}" width="{width:g}" height="{height}" rx="7"'
        yield f'<rect class="cell" {box}/>\n'
        shown = escape(name.removeprefix("loqua_host."))
        yield f'<text class="name" x="{left + 12:g}" y="{top + 21}">{shown}</text>\n'
        for number, line in enumerate(_lines(text, width), 1):
            place = f'x="{left + 12:g}" y="{top + 21 + LINE * number}"'
            yield f'<text class="text" {place}>{escape(line)}</text>\n'


def _note(contract: dict[str, Any]) -> str:
    modules = contract.get("forbidden_modules", ())
    named = ", ".join(name.removeprefix("loqua_host.") for name in modules)
    return f"{contract['name']}: {named}" if len(modules) > 1 else str(contract["name"])


def main() -> None:
    """Draw the picture in the documentation."""
    PICTURE.write_text(draw(), "utf-8")


if __name__ == "__main__":
    main()
