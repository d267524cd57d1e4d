"""TypeScript declarations of the lesson topics; run as a module, it writes them."""

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic.json_schema import models_json_schema

from loqua_host.contract.display import TOPIC_BODIES

__all__ = ["DECLARATIONS", "render_declarations"]

DECLARATIONS: Final = Path(__file__).parents[1] / "typescript/lesson-topics.d.ts"
"""The file with the declarations."""

_HEAD = """\
// What a page shows of a lesson: the JSON of the text streams that loqua-host sends to its learner.
// `python -m loqua_host.dev.typescript` generates this file; TOPICS.md has the rules of the topics.

/** The JSON of one text stream. Ignore fields that you do not know, and other versions. */
export interface LessonMessage<Topic extends keyof LessonTopics = keyof LessonTopics> {
  version: 1;
  /** The lesson's id. */
  lesson: string;
  body: LessonTopics[Topic];
}
"""

_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean"}


def render_declarations() -> str:
    """Return the file: one interface for each value, and the topics with theirs."""
    models = [(model, "serialization") for model in TOPIC_BODIES]
    _, schema = models_json_schema(models)  # type: ignore[arg-type]  # Literal in a list
    blocks = (_declare(name, one) for name, one in sorted(schema["$defs"].items()))
    return "\n".join((_HEAD, _topics(), *blocks))


def _topics() -> str:
    lines = (f'  "{topic}": {model.__name__};' for model, topic in TOPIC_BODIES.items())
    return "\n".join(
        ("/** The bodies by topic. */", "export interface LessonTopics {", *lines, "}\n")
    )


def _declare(name: str, schema: Mapping[str, Any]) -> str:
    text = inspect.cleandoc(schema["description"]).replace("None", "null")
    summary = " ".join(text.partition("\n\n")[0].split())
    head = f"/** {summary} */"
    if "enum" in schema:
        return f"{head}\nexport type {name} = {' | '.join(map(_quote, schema['enum']))};\n"
    fields = _fields(schema["properties"], dict(_attributes(text)))
    return "\n".join((head, f"export interface {name} {{", *fields, "}\n"))


def _fields(properties: Mapping[str, Any], described: Mapping[str, str]) -> Iterator[str]:
    for name, schema in properties.items():
        if name in described:
            yield f"  /** {described[name]} */"
        yield f"  {name}: {_type(schema)};"


def _attributes(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield the attributes that a docstring in Google's style describes."""
    section = docstring.partition("Attributes:\n")[2]
    for name, text in re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
        yield name, " ".join(text.split())


def _type(schema: Mapping[str, Any]) -> str:
    match schema:
        case {"$ref": str(ref)}:
            return ref.rpartition("/")[2]
        case {"anyOf": options}:
            return " | ".join(map(_type, options))
        case {"type": "array", "items": items}:
            inner = _type(items)
            return f"({inner})[]" if " " in inner else f"{inner}[]"
        case {"type": "object", "additionalProperties": values}:
            return f"Record<string, {_type(values)}>"
        case {"type": "null"}:
            return "null"
        case _:
            return _PLAIN[schema["type"]]


def _quote(value: str) -> str:
    return f'"{value}"'


if __name__ == "__main__":
    DECLARATIONS.write_text(render_declarations(), "utf-8")
