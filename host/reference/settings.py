"""The page of settings, from their models."""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from loqua_host.registry.loader import load_plugin
from loqua_host.settings.engines import Engine
from loqua_host.settings.host import HostSettings
from loqua_host.settings.rules import AchievementRule, RecommendationRule
from loqua_host.settings.tutors import TutorSettings
from loqua_host.settings.variables import ADDRESSES, PREFIX, variable_name

__all__ = ["list_settings", "render_settings"]

HEAD = """# Settings

Each row is a key, with its sections before the dot. A value comes, highest precedence first, from
the environment variable, from `config/environments/NAME.yaml`, or from the file that the heading
names. The variable of a section or list takes JSON. The
[operator's guide](../operate/index.md) explains addresses, secrets, and which changes a running
host applies at once. `loqua-host check --explain` prints where each value comes from.
"""

TUTORS: Final = ("conversation", "grammar", "pronunciation")

ITEMS: Final[Mapping[str, type[BaseModel]]] = {
    "engines.stt, engines.llm and engines.tts": Engine,
    "records.achievements": AchievementRule,
    "records.recommendations": RecommendationRule,
}
"""Lists of sections. The bounds of rules have the keys of `records.completed_when`."""

NONE: Final[Mapping[tuple[str, ...], str]] = {}

NAMES: Final = {
    NoneType: "null",
    bool: "true or false",
    dict: "section",
    float: "number",
    frozenset: "list",
    int: "integer",
    list: "list",
    str: "text",
    tuple: "list",
}

Row = tuple[tuple[str, ...], FieldInfo]
"""The keys that lead to a setting, and its field."""


def list_settings(model: type[BaseModel], *above: str) -> Iterator[Row]:
    """Yield each setting of a model and of the sections in it."""
    for name, field in model.model_fields.items():
        keys = (*above, field.alias or name)
        inner = _section(field.annotation)
        if _is_derived(field):
            continue
        if inner is None:
            yield keys, field
        else:
            yield from list_settings(inner, *keys)


def render_settings() -> str:
    """Return the page."""
    parts = [HEAD, "## config/host.yaml\n", *_table(HostSettings, PREFIX, ADDRESSES)]
    for shown, item in ITEMS.items():
        parts += [f"\n### Each item of {shown}\n", *_items(item)]
    parts += ["\n## config/tutors/NAME.yaml\n", *_table(TutorSettings, f"{PREFIX}TUTORS__NAME__")]
    for tutor in TUTORS:
        model = load_plugin(plugin=tutor).tutor.settings
        parts.append(f"\n### settings: of the tutor {tutor}\n")
        parts += _table(model, f"{PREFIX}TUTORS__{tutor.upper()}__SETTINGS__")
    return "\n".join(parts) + "\n"


def _table(
    model: type[BaseModel], prefix: str, others: Mapping[tuple[str, ...], str] = NONE
) -> Iterator[str]:
    yield "| key | type | default | variable | meaning |\n|---|---|---|---|---|"
    for keys, field in list_settings(model):
        variable = others.get(keys) or variable_name(prefix, keys)
        yield _row(*_cells(".".join(keys), field), f"`{variable}`", field.description or "")


def _items(model: type[BaseModel]) -> Iterator[str]:
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    for name, field in model.model_fields.items():
        yield _row(*_cells(name, field), field.description or "")


def _cells(key: str, field: FieldInfo) -> tuple[str, str, str]:
    return f"`{key}`", _type(field.annotation), _default(field)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _is_derived(field: FieldInfo) -> bool:
    """Return whether no file may have the field: the schema for editors leaves it out too."""
    return any(type(one).__name__ == "SkipJsonSchema" for one in field.metadata)


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a section; None for a value, or a list of sections."""
    for one in _alternatives(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _type(annotation: Any) -> str:
    return " or ".join(dict.fromkeys(_named(one) for one in _alternatives(annotation)))


def _named(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) is Annotated:
        return _type(get_args(kind)[0])
    plain = get_origin(kind) or kind
    if issubclass(plain, BaseModel):
        return "section"
    return NAMES.get(plain) or ("path" if issubclass(plain, PurePath) else "text")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    value = sorted(value) if isinstance(value, frozenset) else value
    return f"`{value if isinstance(value, str | PurePath) and str(value) else _json(value)}`"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str).strip()
