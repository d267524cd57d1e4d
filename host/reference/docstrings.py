"""Docstrings in Google's convention as Markdown."""

from collections.abc import Iterator
from typing import Any

__all__ = ["render_docstring"]


def render_docstring(docstring: Any) -> Iterator[str]:
    """Yield the paragraphs of a docstring that griffe has read; none without a docstring."""
    for section in docstring.parsed if docstring else ():
        if section.kind.value == "text":
            yield section.value
        else:
            title = section.kind.value.replace("parameters", "arguments").capitalize()
            items = (f"* {_name(one)}: {_line(one.description)}" for one in section.value)
            yield "\n".join((f"**{title}**", "", *items))


def _name(item: Any) -> str:
    return f"`{getattr(item, 'name', None) or item.annotation}`"


def _line(text: str) -> str:
    return " ".join(text.split())
