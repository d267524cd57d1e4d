"""The names that tutors import, with their signatures, as text and as a page."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import griffe
from host.reference.docstrings import render_docstring

__all__ = ["MODULES", "list_signatures", "render_module"]

SOURCE: Final = Path(__file__).parents[1] / "src"

MODULES: Final = ("loqua_host", "loqua_host.events", "loqua_host.testing")
"""The modules that tutors may import from."""


def list_signatures(module: str) -> list[str]:
    """Return each public name of a module with its arguments, defaults and what it returns."""
    return [line for name, it in _exported(module) for line in _signatures(name, it)]


def render_module(module: str, title: str) -> str:
    """Return the page of a module."""
    parts = [f"# {title}"]
    for name, it in _exported(module):
        if not it.is_module:
            parts += [f"## {name}", _code(_signatures(name, it)), *render_docstring(it.docstring)]
            parts += [part for method in _methods(it) for part in _method(method)]
    return "\n\n".join(parts) + "\n"


@cache
def _package() -> Any:
    # A pydantic dataclass has its arguments where griffe does not look for them.
    options: Any = {"warnings": False}
    return griffe.load(
        "loqua_host",
        search_paths=[SOURCE],
        docstring_parser="google",
        docstring_options=options,
    )


def _exported(module: str) -> Iterator[tuple[str, Any]]:
    # The package itself imports its names from there, when they are first used.
    found = _package()[module.partition(".")[2] or "contract"]
    for name in sorted(map(str, found.exports)):
        it = found[name]
        yield name, it.final_target if it.is_alias else it


def _signatures(name: str, it: Any) -> Iterator[str]:
    if it.is_function:
        yield _signature(name, it)
    elif it.is_class:
        bases = ", ".join(map(str, it.bases))
        yield f"class {name}({bases})" if bases else f"class {name}"
        if "__init__" in it.members:
            yield it.members["__init__"].signature(name=name)
        for member, one in _members(it):
            yield _signature(f"{name}.{member}", one)
    else:
        yield name


def _members(it: Any) -> Iterator[tuple[str, Any]]:
    """Yield a class's own public members, and the attributes that it inherits."""
    inherited = ((name, one.final_target) for name, one in it.inherited_members.items())
    attributes = [(name, one) for name, one in inherited if one.is_attribute]
    for name, one in (*attributes, *it.members.items()):
        if not name.startswith("_") and name != "model_config":
            yield name, one


def _signature(name: str, it: Any) -> str:
    if it.is_function:
        return f"{'async ' if 'async' in it.labels else ''}{it.signature(name=name)}"
    value = "" if it.value is None else f" = {it.value}"
    return f"{name}: {it.annotation}{value}" if it.annotation else f"{name}{value}"


def _code(lines: Iterator[str]) -> str:
    return "\n".join(("```text", *lines, "```"))


def _methods(it: Any) -> Iterator[Any]:
    for name, one in it.members.items() if it.is_class else ():
        if one.is_function and not name.startswith("_"):
            yield one


def _method(it: Any) -> Iterator[str]:
    yield f"### {it.parent.name}.{it.name}"
    yield from render_docstring(it.docstring)
