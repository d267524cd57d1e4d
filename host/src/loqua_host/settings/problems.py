"""Readable problems from pydantic's validation errors."""

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import ErrorDetails

from loqua_host.errors import Problem

__all__ = [
    "KeyPath",
    "NotJson",
    "model_problems",
    "printable",
    "setting_paths",
    "spelled",
    "takes",
    "unwritable_keys",
]

KeyPath = Sequence[str | int]
"""The keys that lead to a value, outermost first."""


class NotJson(str):
    """The text of a variable for a section or a list that is not JSON."""

    __slots__ = ()


_UNKNOWN: Final = "is not a known key"

KINDS: Final[dict[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    tuple: "a list",
    set: "a list",
    frozenset: "a list",
    dict: "a section of keys",
    NoneType: "null",
}


def model_problems(
    error: ValidationError,
    model: type[BaseModel],
    where: Callable[[KeyPath], str],
    *,
    counts: Callable[[KeyPath], bool] = lambda _: True,
    unknown: Callable[[KeyPath], str | None] = lambda _: None,
) -> list[Problem]:
    """Return the problems of a failed validation.

    A problem never shows a value, because the value may be a misplaced secret.

    Args:
        error: The validation error.
        model: The validated model.
        where: Returns the file and key, or the variable, of a place.
        counts: Returns whether an error at a place is a problem.
        unknown: Returns a hint for an unknown key, or None.
    """
    return [
        _problem(fault, model, where, unknown)
        for fault in error.errors(include_url=False, include_context=False)
        if counts(fault["loc"])
    ]


def unwritable_keys(
    data: Iterable[str], model: type[BaseModel], where: Callable[[KeyPath], str]
) -> Iterator[Problem]:
    """Find keys of fields that files must not set."""
    for key in data:
        if key in model.model_fields and key not in _fields(model):
            yield Problem(where((key,)), _UNKNOWN, _known_keys(model, (key,)))


def takes(model: type[BaseModel], path: KeyPath) -> bool:
    """Return whether a place is a setting of the model, a section, or within a mapping."""
    field = _fields(model).get(str(path[0])) if path else None
    if field is None or not path[1:]:
        return field is not None
    inner = _model_of(field.annotation)
    return _is_mapping(field.annotation) or (inner is not None and takes(inner, path[1:]))


def setting_paths(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[KeyPath]:
    """Yield the place of each section and setting of a model."""
    for key, field in _fields(model).items():
        yield (*above, key)
        inner = _model_of(field.annotation)
        if inner is not None and not _is_mapping(field.annotation):
            yield from setting_paths(inner, (*above, key))


def spelled(path: KeyPath) -> str:
    """Return a place as text, such as `engines.tts[1].use`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return "".join(steps).removeprefix(".")


def printable(text: str, limit: int = 300) -> str:
    """Return the text as one line without control characters, cut at `limit`."""
    flat = " ".join(text.split())
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in flat)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _problem(
    fault: ErrorDetails,
    model: type[BaseModel],
    where: Callable[[KeyPath], str],
    unknown: Callable[[KeyPath], str | None],
) -> Problem:
    path = fault["loc"]
    location = printable(where(path))
    if fault["type"] == "extra_forbidden":
        return Problem(location, _UNKNOWN, unknown(path) or _known_keys(model, path))
    field, depth = _field(model, path)
    wanted = _wanted(field) if field else "what the message says"
    if fault["type"] == "missing":
        return Problem(location, "is missing", f"write {wanted}")
    if isinstance(fault["input"], NotJson):
        return Problem(location, "is not JSON", f"write as JSON {wanted}")
    if depth == 0:
        return Problem(location, _sentence(fault["msg"]), "change one of them")
    return Problem(location, _sentence(fault["msg"]), f"write {wanted}")


def _wanted(field: FieldInfo) -> str:
    """Return what to write for a field: its keys, its words, or its description."""
    section, words = _model_of(field.annotation), _words(field.annotation)
    meaning = field.description or ""
    keys = _section(section) if section else ""
    if keys and field.annotation is section:
        return keys
    if words and not all(word in meaning for word in words):
        return f"{'one of ' if words[1:] else ''}{', '.join(words)}"
    return (
        meaning or " or ".join(dict.fromkeys(_kinds(field.annotation))) or "what the message says"
    )


def _section(model: type[BaseModel]) -> str:
    keys = ", ".join(f"{key}:" for key in _keys(model))
    return f"a section with {keys}" if keys else "{}, an empty section"


def _words(annotation: Any) -> list[str]:
    """Return the allowed words of an enum or literal."""
    options = [annotation, *(get_args(annotation) if _is_union(annotation) else ())]
    literals = [one for one in options if get_origin(one) is Literal]
    enums = [one for one in options if isinstance(one, type) and issubclass(one, Enum)]
    words = [value for one in literals for value in get_args(one)]
    words += [member.value for one in enums for member in one]
    return [_as_yaml(word) for word in words]


def _as_yaml(word: object) -> str:
    return {True: "true", False: "false", None: "null"}.get(word, str(word))  # type: ignore[call-overload,no-any-return]  # any value of a Literal


def _kinds(annotation: Any) -> Iterator[str]:
    """Yield the types of a field without a description, in plain words."""
    for option in get_args(annotation) if _is_union(annotation) else (annotation,):
        origin = get_origin(option) or option
        if origin is Annotated:
            yield from _kinds(get_args(option)[0])
        elif origin in KINDS:
            yield KINDS[origin]
        elif isinstance(origin, type) and issubclass(origin, BaseModel):
            yield _section(origin)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _sentence(message: str) -> str:
    plain = message.removeprefix("Value error, ").removeprefix("Input ")
    return printable(plain[:1].lower() + plain[1:])


def _known_keys(model: type[BaseModel], path: KeyPath) -> str:
    parent = _model_at(model, path[:-1])
    known = _keys(parent) if parent else []
    if not known:
        return "remove it: no keys are allowed here"
    near = difflib.get_close_matches(str(path[-1]), known, n=1)
    return f"write {near[0]}" if near else f"remove it or write one of {', '.join(known)}"


def _keys(model: type[BaseModel]) -> list[str]:
    return sorted(_fields(model))


def _field(model: type[BaseModel], path: KeyPath) -> tuple[FieldInfo | None, int]:
    """Return the innermost field around a place, and its depth.

    Steps that are not keys, such as an item's index, belong to the field around them.
    """
    found, depth = None, 0
    current: type[BaseModel] | None = model
    for reached, step in enumerate(path, start=1):
        field = _fields(current).get(str(step)) if current else None
        if field is not None:
            found, depth = field, reached
            current = _model_of(field.annotation)
    return found, depth


def _model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    for step in path:
        field = _fields(current).get(str(step)) if current else None
        # Other steps: an item's index, a mapping's key, pydantic's name of a union's member.
        if field is not None:
            current = _model_of(field.annotation)
    return current


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields that files may set, by their keys."""
    return {
        field.alias or name: field
        for name, field in model.model_fields.items()
        if not any(isinstance(one, SkipJsonSchema) for one in field.metadata)  # type: ignore[misc]  # a class
    }


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(map(_is_mapping, get_args(annotation)))


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the first model in an annotation, at any depth: in a list, a mapping, an optional."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_of, get_args(annotation))), None)
