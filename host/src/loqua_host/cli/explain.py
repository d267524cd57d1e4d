"""`loqua-host check --explain`: each effective value and its source."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import JsonValue

from loqua_host.settings.engines import Engines
from loqua_host.settings.host import HostSettings
from loqua_host.settings.problems import spelled
from loqua_host.settings.secrets import HOST_SECRETS
from loqua_host.settings.sources import ConfigSources, read_sources
from loqua_host.settings.tutors import TutorSettings
from loqua_host.settings.variables import ENVIRONMENT, read_environ

__all__ = ["HEADINGS", "explain_config"]

HEADINGS = ("key", "value", "from")

SECRET = re.compile(
    r"(^|[_-])(key|token|secret|password|passphrase|authorization)s?$", re.IGNORECASE
)
"""The end of keys whose values are masked."""

USERINFO = re.compile(r"(?<=://)[^/@\s\"]+@")

MASK = "****"

KeyPath = tuple[str | int, ...]
Line = tuple[str, str, str]

ENGINES_DEEP = len(("engines", "stt"))


def explain_config(
    config: Path, environ: Mapping[str, str], settings: HostSettings
) -> Iterator[Line]:
    """Yield key, value and source of each setting. Values that look secret are masked.

    Args:
        config: The directory that `settings` were read from.
        environ: The environment variables that they were read with.
        settings: The effective settings.
    """
    sources = read_sources(config, environ)
    variables = read_environ(config, environ)
    host = settings.model_dump(mode="json", by_alias=True, exclude={"tutors", "environment"})
    given = ENVIRONMENT if environ.get(ENVIRONMENT) else "default"
    yield "environment", settings.environment, given
    for path, value in _leaves((), host):
        yield spelled(path), _shown(path, value), sources.host.origin(path)
    for tutor in settings.tutors:
        yield from _tutor(settings, tutor, sources)
    for name in sorted(HOST_SECRETS | settings.secret_names):
        if name in variables:
            yield name, MASK, "environment" if environ.get(name) else ".env"


def _tutor(settings: HostSettings, tutor: TutorSettings, sources: ConfigSources) -> Iterator[Line]:
    """Yield a tutor's lines. Values that it inherits from the host have the host's sources."""
    own = sources.tutors[tutor.name]
    shared = {name for name in Engines.model_fields if name not in tutor.engines.model_fields_set}
    values = tutor.model_dump(mode="json", by_alias=True, exclude={"name"})
    engines = settings.engines_for(tutor).model_dump(mode="json", by_alias=True)
    values |= {"engines": engines, "agent_id": settings.agent_id_for(tutor)}
    for path, value in _leaves((), values):
        inherited = path[0] == "engines" and path[1] in shared
        inherited |= path == ("agent_id",) and tutor.agent_id is None
        origin = (sources.host if inherited else own).origin(path)
        yield f"tutors.{tutor.name}.{spelled(path)}", _shown(path, value), origin


def _leaves(path: KeyPath, value: JsonValue) -> Iterator[tuple[KeyPath, JsonValue]]:
    if path[:1] == ("engines",) and isinstance(value, list) and len(path) == ENGINES_DEEP:
        yield from _engines(path, value)
    elif isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves((*path, key), inner)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves((*path, index), _without_nulls(item))
    else:
        yield path, value


def _engines(path: KeyPath, listed: list[JsonValue]) -> Iterator[tuple[KeyPath, JsonValue]]:
    """Yield the leaves of the engines of one kind. A single engine has no index."""
    if not listed:
        yield path, None
    for index, engine in enumerate(listed):
        yield from _leaves((*path, index) if listed[1:] else path, engine)


def _without_nulls(value: JsonValue) -> JsonValue:
    """Return an item of a list without its unset keys, as it was written."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(one) for key, one in value.items() if one is not None}


def _shown(path: KeyPath, value: JsonValue) -> str:
    names_only = path[0] == "secrets" or (path[0] == "engines" and "secrets" in path)
    if (
        isinstance(value, str | list)
        and not names_only
        and any(SECRET.search(str(step)) for step in path)
    ):
        return MASK
    return USERINFO.sub(f"{MASK}@", json.dumps(value, ensure_ascii=False))
