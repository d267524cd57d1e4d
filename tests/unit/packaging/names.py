"""The table of public names, written by `python -m tests.unit.packaging.names`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import yaml

from loqua_host.host_metrics import HostMetrics

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "host/NAMES.md"
HEAD = """# Public names

All classes, functions, metrics and alerts of the host. Each name has one meaning: before you
introduce a name, check that it is free. `uv run python -m tests.unit.packaging.names` generates
this file from the code; a test compares them.

| name | what it is |
|---|---|
"""


def public_names() -> list[tuple[str, str]]:
    """Return each public name with the first sentence about it; one for each time it is used."""
    source = ROOT / "host/src/loqua_host"
    files = sorted(
        file for file in source.rglob("*.py") if not {"templates", "tutor-template"} & {*file.parts}
    )
    exported = [row for file in files for row in _exported(ast.parse(file.read_text()))]
    return sorted([*exported, *_metrics(), *_alerts()])


def render(names: list[tuple[str, str]]) -> str:
    """Return the table as Markdown."""
    rows = ((name, text.replace("|", "\\|")) for name, text in names)
    return HEAD + "".join(f"| `{name}` | {text} |\n" for name, text in rows)


def _exported(module: ast.Module) -> Iterator[tuple[str, str]]:
    exported: list[str] = []
    for node in module.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            exported = ast.literal_eval(node.value)
    for node in module.body:
        defines = isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if defines and node.name in exported:
            yield node.name, _first_sentence(ast.get_docstring(node) or "")


def _first_sentence(docstring: str) -> str:
    return " ".join(docstring.split("\n\n", maxsplit=1)[0].split())


def _metrics() -> Iterator[tuple[str, str]]:
    for family in HostMetrics().registry.collect():
        if family.name.startswith("loqua_"):
            yield family.name, f"{family.type}: {family.documentation}"


def _alerts() -> Iterator[tuple[str, str]]:
    rules = yaml.safe_load((ROOT / "config/prometheus/alerts.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], f"alert: {rule['annotations']['summary']}"


if __name__ == "__main__":
    TABLE.write_text(render(public_names()))
