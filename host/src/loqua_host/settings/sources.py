"""The layers a configuration is made of, and which of them said what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

from dotenv import dotenv_values
from pydantic import JsonValue

from loqua_host.errors import Problem

from .host import Environment
from .problems import spelled
from .yaml import read_yaml

__all__ = [
    "Sources",
    "choose_environment",
    "dotenv_file",
    "read_dotenv",
    "read_environ",
    "read_sources",
    "tutor_file",
    "tutor_key",
]

ADDRESSES: Final = {
    ("agent_id",): "AGENT_ID",
    ("livekit", "url"): "LIVEKIT_URL",
    ("api", "api_base_url"): "API_BASE_URL",
}
"""The settings that the environment gives, by their place in `HostSettings`."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Host settings as written: the base file, the environment's overlay, variables."""

    files: tuple[tuple[Path, dict[str, JsonValue]], ...]
    variables: dict[str, JsonValue]
    problems: tuple[Problem, ...]

    def merged(self) -> dict[str, JsonValue]:
        """Give all layers as one mapping; a later layer's value wins, mappings merge."""
        merged: dict[str, JsonValue] = {section: {} for section, *key in ADDRESSES if key}
        for _, data in self.files:
            merged = _merge(merged, data)
        return _merge(merged, self.variables)

    def where(self, place: Sequence[str | int]) -> str:
        """Name the file and key, or the variable, that a value came from or belongs in."""
        variable = ADDRESSES.get(tuple(str(step) for step in place))
        if variable and (_holds(self.variables, place) or not self._written(place)):
            return variable
        file = self._written(place) or self.files[0][0]
        return f"{file}: {spelled(place)}"

    def origin(self, place: Sequence[str | int]) -> str:
        """Name the variable or the file that gave a value, or `default`."""
        if _holds(self.variables, place):
            return ADDRESSES[tuple(str(step) for step in place)]
        file = self._written(place)
        return "default" if file is None else str(file)

    def _written(self, place: Sequence[str | int]) -> Path | None:
        return next((file for file, data in reversed(self.files) if _holds(data, place)), None)


def read_sources(config: Path, environ: Mapping[str, str]) -> Sources:
    """Read the layers of the host's own settings, with what is wrong with each file."""
    environment = choose_environment(environ)
    base, problems = read_yaml(config / "host.yaml")
    files = [(config / "host.yaml", base)]
    overlay = config / "environments" / f"{environment}.yaml"
    if overlay.exists():
        data, more = read_yaml(overlay)
        files.append((overlay, data))
        problems = [*problems, *more]
    return Sources(tuple(files), _variables(read_environ(config, environ)), tuple(problems))


def choose_environment(environ: Mapping[str, str]) -> Environment:
    """Give the environment that `LOQUA_ENVIRONMENT` names, development without it.

    A name that is none is reported by `load`; until then it counts as production, the
    strictest.
    """
    name = environ.get("LOQUA_ENVIRONMENT") or Environment.DEVELOPMENT
    return Environment(name) if name in set(Environment) else Environment.PRODUCTION


def read_environ(config: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Give the environment; in development, over what `.env` beside config/ says.

    Empty variables count as not set.
    """
    given = {name: value for name, value in environ.items() if value}
    if choose_environment(environ) is not Environment.DEVELOPMENT:
        return given
    return (read_dotenv(dotenv_file(config)) or {}) | given


def dotenv_file(config: Path) -> Path:
    """Give where `.env` is in development: beside config/, not in it."""
    return config.absolute().parent / ".env"


def read_dotenv(file: Path) -> dict[str, str] | None:
    """Give the variables that the file sets, none when it is not there, None if unreadable."""
    try:
        text = file.read_text("utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError):
        return None
    written = dotenv_values(stream=StringIO(text), interpolate=False)
    return {name: value for name, value in written.items() if value}


def tutor_file(config: Path, tutor: str) -> Path:
    """Return the file of a tutor."""
    return config / "tutors" / f"{tutor}.yaml"


def tutor_key(config: Path, tutor: str, key: str) -> str:
    """Name the file and key of a tutor's setting, as problems show it."""
    return f"{tutor_file(config, tutor)}: {key}"


def _variables(environ: Mapping[str, str]) -> dict[str, JsonValue]:
    given: dict[str, JsonValue] = {}
    for place, variable in ADDRESSES.items():
        if variable in environ:
            value: JsonValue = environ[variable]
            for step in reversed(place):
                value = {step: value}
            given = _merge(given, value)  # type: ignore[arg-type]  # a place has a step
    return given


def _merge(under: dict[str, JsonValue], over: dict[str, JsonValue]) -> dict[str, JsonValue]:
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]  # `both`
    return merged


def _holds(data: JsonValue, place: Sequence[str | int]) -> bool:
    for step in place:
        if isinstance(data, list) and isinstance(step, str) and len(data) == 1:
            data = data[0]  # a list of one may be read as what is in it
        if isinstance(data, dict) and step in data:
            data = data[str(step)]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return False
    return True
