"""Data files of the plugin, read into models; an error names file, key and remedy."""

import tomllib
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

__all__ = ["FROZEN", "DataError", "parse_toml"]

FROZEN = ConfigDict(frozen=True, extra="forbid")

_Model = TypeVar("_Model", bound=BaseModel)

_REMEDIES = {
    "missing": "write it",
    "extra_forbidden": "remove it, or correct its name",
    "too_short": "write at least one",
    "string_too_short": "write a text",
    "string_type": 'write a text in quotes ("…")',
    "tuple_type": 'write a list (["…"])',
    "dict_type": "write a table (key = value)",
}


class DataError(ValueError):
    """A data file is wrong; the message names each file, key and remedy."""


def parse_toml(file: str, text: str, model: type[_Model], **derived: str) -> _Model:
    """Return the content of a TOML file as a model.

    Args:
        file: The file's name for errors, such as `scenarios/es/cafe.toml`.
        text: The file's content.
        model: The model of the content.
        derived: Fields that come from the file's place instead of its content.

    Raises:
        DataError: If it is not TOML or does not fit the model.
    """
    try:
        return model.model_validate({**tomllib.loads(text), **derived})
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{file}: is not TOML: {error}") from None
    except ValidationError as error:
        faults = "; ".join(_fault(it["type"], it["loc"], it["msg"]) for it in error.errors())
        raise DataError(f"{file}: {faults}") from None


def _fault(kind: str, place: tuple[int | str, ...], message: str) -> str:
    """Return one fault as `turns[2].hint: Field required: write it`."""
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    remedy = f": {_REMEDIES[kind]}" if kind in _REMEDIES else ""
    return f"{key.lstrip('.') or 'the file'}: {message.removeprefix('Value error, ')}{remedy}"
