"""JSON schemas of config/, for editors; `python -m loqua_host.settings.schema config/schema`."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from .host import HostSettings
from .tutors import TutorSettings
from .variables import ADDRESSES

__all__ = ["schemas", "write_schemas"]


def schemas() -> dict[str, str]:
    """Return the schemas by file name: host.json also fits the overlays of environments/."""
    return {"host.json": _text(_host()), "tutor.json": _text(_schema(TutorSettings))}


def write_schemas(directory: Path) -> None:
    """Write the schemas into a directory."""
    directory.mkdir(exist_ok=True)
    for name, text in schemas().items():
        (directory / name).write_text(text, "utf-8")


def _host() -> dict[str, Any]:
    """Return the host's schema, in which nothing is required that the environment gives."""
    schema = _schema(HostSettings)
    for place in ADDRESSES:
        part = schema
        for step in place:
            part["required"] = [key for key in part["required"] if key != step]
            section = part["properties"][step].get("$ref", "").rpartition("/")[2]
            part = schema["$defs"].get(section, {})
    return schema


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return draft | model.model_json_schema(by_alias=True)


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
