"""A model's complaints about what was written, in the words of whoever must mend it."""

import difflib
from collections.abc import Callable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from loqua_host.errors import Problem

__all__ = ["Place", "model_problems", "printable"]

Place = Sequence[str | int]
"""The keys that lead to a value, outermost first."""


def model_problems(
    error: ValidationError, model: type[BaseModel], where: Callable[[Place], str]
) -> list[Problem]:
    """Turn a failed validation of `model` into problems; `where` names a place's file and key.

    Values never show in a problem: one of them may be a secret at the wrong place.
    """
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [_problem(fault["type"], fault["msg"], model, fault["loc"], where) for fault in found]


def printable(text: str, limit: int = 300) -> str:
    """Give the text as one line without control characters, cut at `limit`."""
    flat = " ".join(text.split())
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in flat)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _problem(
    kind: str, message: str, model: type[BaseModel], place: Place, where: Callable[[Place], str]
) -> Problem:
    spot = printable(where(place))
    if kind == "extra_forbidden":
        return Problem(spot, "is not a known key", _known_keys(model, place))
    field, depth = _field(model, place)
    wanted = (field.description if field else None) or "what the message asks for"
    if kind == "missing":
        return Problem(spot, "is missing", f"write {wanted}")
    if depth == 0:
        return Problem(spot, _sentence(message), "change one of them")
    return Problem(spot, _sentence(message), f"write {wanted}")


def _sentence(message: str) -> str:
    plain = message.removeprefix("Value error, ").removeprefix("Input ")
    return printable(plain[:1].lower() + plain[1:])


def _known_keys(model: type[BaseModel], place: Place) -> str:
    parent = _model_at(model, place[:-1]) or model
    known = sorted(field.alias or name for name, field in parent.model_fields.items())
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"write {near[0]}" if near else f"remove it or write one of {', '.join(known) or 'none'}"


def _field(model: type[BaseModel], place: Place) -> tuple[FieldInfo | None, int]:
    """Find the field that a place is in, or the innermost around it, and its depth."""
    field, current = None, model
    for depth, step in enumerate(place):
        found = _fields(current).get(step) if current else None
        if found is None:
            return field, depth
        field, current = found, _model_of(found.annotation)  # type: ignore[assignment]  # or None
    return field, len(place)


def _model_at(model: type[BaseModel], place: Place) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    for step in place:
        field = _fields(current).get(step) if current else None
        current = _model_of(field.annotation) if field else None
    return current


def _fields(model: type[BaseModel]) -> dict[str | int, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _model_of(annotation: Any) -> type[BaseModel] | None:
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None
