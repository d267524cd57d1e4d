"""A strict YAML reader for configuration files.

PyYAML reads YAML 1.1, where `no` is false, `1:30` is 90 and the last of two equal keys silently
wins. This reader accepts unique text keys and the scalars of YAML 1.2's core schema. It refuses
anchors and tags, which no configuration needs.
"""

import re
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import JsonValue

from loqua_host.errors import Problem

__all__ = ["read_yaml"]

_SCALARS: Final = {
    "null": (r"~|null|", ["~", "n", ""]),
    "bool": (r"true|false", ["t", "f"]),
    "int": (r"-?(0|[1-9][0-9]{0,17})", list("-0123456789")),
    "float": (r"-?[0-9]{1,18}(\.[0-9]{1,18}([eE][-+]?[0-9]{1,2})?)", list("-0123456789")),
}


class _Loader(yaml.SafeLoader):
    """Build dicts, lists, text, numbers, booleans and None; refuse everything else."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own declaration

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # as PyYAML has it
        if getattr(event, "anchor", None) is not None:
            raise yaml.MarkedYAMLError(
                problem="anchors and aliases are not allowed", problem_mark=event.start_mark
            )
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(
                problem=f"the tag {event.tag} is not allowed", problem_mark=event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(problem="a key is not text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} is duplicate", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


for _name, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first
    )


def read_yaml(path: Path) -> tuple[dict[str, JsonValue], list[Problem]]:
    """Return the mapping in a YAML file, and the problems of the file.

    An empty file is an empty mapping. With problems, the mapping is empty.
    """
    try:
        data = _parse(path.read_text("utf-8"))
    except OSError as error:
        what, hint = f"cannot be read: {error.strerror}", "create the file or make it readable"
    except UnicodeDecodeError:
        what, hint = "is not UTF-8 text", "save it as UTF-8"
    except RecursionError:
        what, hint = "is nested too deeply", "use fewer levels"
    except yaml.YAMLError as error:
        return {}, [_yaml_problem(path, error)]
    else:
        if isinstance(data, dict):
            return data, []
        what, hint = "is not a mapping", "write `key: value` lines"
    return {}, [Problem(str(path), what, hint)]


def _parse(text: str) -> JsonValue:
    data: JsonValue = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader, narrowed
    return {} if data is None else data


def _yaml_problem(path: Path, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    where = str(path) if mark is None else f"{path}: line {mark.line + 1}"
    what = getattr(error, "problem", None) or "is not YAML"
    return Problem(where, what, "write plain YAML: text keys, once each")
