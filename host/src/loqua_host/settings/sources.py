"""The sources of settings by precedence, and the origin of each value."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Never, TypeAlias

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, InitSettingsSource
from pydantic_settings.sources.utils import parse_env_vars

from loqua_host.contract.tutor import NAME
from loqua_host.errors import Problem

from .host import Environment, HostSettings
from .layered import LayeredSettings
from .problems import KeyPath, NotJson, printable, spelled
from .tutors import TutorSettings
from .variables import (
    ADDRESSES,
    DELIMITER,
    PREFIX,
    Variable,
    Variables,
    choose_environment,
    dotenv_file,
    read_dotenv,
    sort_variables,
    tutor_prefix,
    variable_name,
)
from .yaml import read_yaml

__all__ = [
    "ConfigSources",
    "FileSource",
    "Sources",
    "VariablesSource",
    "read_sources",
    "tutor_file",
    "tutor_key",
]

_TUTOR_FILE: Final = re.compile(rf"{NAME}\.yaml")


class VariablesSource(EnvSettingsSource):
    """`LOQUA_…` variables, read by pydantic-settings. Sections and lists are JSON.

    Args:
        settings: The settings class.
        prefix: The prefix before the first key.
        variables: The variables, each of which matches a setting.
    """

    def __init__(
        self, settings: type[LayeredSettings], prefix: str, variables: Mapping[str, Variable]
    ) -> None:
        self._variables = variables
        super().__init__(
            settings,
            case_sensitive=False,
            env_prefix=prefix,
            env_nested_delimiter=DELIMITER,
            env_parse_none_str="null",
        )
        self.data = self()

    def _load_env_vars(self) -> Mapping[str, str | None]:
        given = {name: variable.value for name, variable in self._variables.items()}
        return parse_env_vars(given, parse_none_str=self.env_parse_none_str)

    def decode_complex_value(
        self,
        field_name: str,  # noqa: ARG002  # as pydantic-settings calls it
        field: FieldInfo | None,  # noqa: ARG002
        value: Any,
    ) -> Any:
        """Return a section or list, or `NotJson`, which validation refuses."""
        try:
            return json.loads(value, object_pairs_hook=_once_each, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return NotJson(value)

    def _coerce_env_val_strict(self, field: FieldInfo | None, value: Any) -> Any:
        """Return a value for its field; in mappings of any values, JSON or else the text."""
        if isinstance(field, FieldInfo) or field is str or type(value) is not str:
            return super()._coerce_env_val_strict(field, value)
        decoded = self.decode_complex_value("", field, value)
        return value if isinstance(decoded, NotJson) else decoded

    def where(self, place: KeyPath) -> str:
        """Return the variable that sets a place, or would, with the keys within its JSON."""
        for depth in range(len(place), 0, -1):
            if variable := self._variables.get(variable_name(self.env_prefix, place[:depth])):
                return ": ".join(filter(None, (variable.shown, spelled(place[depth:]))))
        name = variable_name(self.env_prefix, place)
        inside = (it.shown for at, it in self._variables.items() if at.startswith(name + DELIMITER))
        return ", ".join(inside) or name

    origin = where


class FileSource(InitSettingsSource):
    """A YAML file. Its contents are never shown, because they may include misplaced secrets."""

    def __init__(self, settings: type[LayeredSettings], file: Path, data: dict[str, Any]) -> None:
        super().__init__(settings, data)
        self.data, self._file = data, file

    def where(self, place: KeyPath) -> str:
        """Return the file and the key."""
        return f"{self._file}: {spelled(place)}"

    def origin(self, _: KeyPath) -> str:
        """Return the file's name."""
        return str(self._file)

    def __repr__(self) -> str:
        """Return the file's name."""
        return f"FileSource({str(self._file)!r})"


Source: TypeAlias = VariablesSource | FileSource


@dataclass(frozen=True, slots=True, repr=False)
class Sources:
    """The sources of one settings class, highest precedence first; the last one is its file.

    Attributes:
        addresses: The variables that problems name if no source sets their place.
    """

    all: tuple[Source, ...]
    addresses: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    def where(self, place: KeyPath) -> str:
        """Return the variable, or file and key, that sets a value or should set it."""
        if holder := self._holder(place):
            return holder.where(place)
        if variable := self.addresses.get(tuple(map(str, place))):
            return variable
        deepest = max(self.all, key=lambda source: _follow(source.data, place)[0])
        return (deepest if _follow(deepest.data, place)[0] else self.all[-1]).where(place)

    def origin(self, place: KeyPath) -> str:
        """Return the variable or the file that set a value, or `default`."""
        holder = self._holder(place)
        return holder.origin(place) if holder else "default"

    def values(self) -> Iterator[tuple[KeyPath, Any, Source]]:
        """Yield place, value and source of each effective value."""
        for source in self.all:
            for place, value in _leaves(source.data, ()):
                if self._holder(place) is source:
                    yield place, value, source

    def has_value(self, place: KeyPath) -> bool:
        """Return whether a source sets a value, not a section, at a place."""
        holder = self._holder(place)
        return holder is not None and not isinstance(_follow(holder.data, place)[1], dict)

    def _holder(self, place: KeyPath) -> Source | None:
        for source in self.all:
            depth, value = _follow(source.data, place)
            if depth == len(place):
                return source
            if not isinstance(value, dict):  # it replaces the lower sources' values here
                return None
        return None


@dataclass(frozen=True, slots=True, repr=False)
class ConfigSources:
    """All sources of a configuration.

    Attributes:
        config: The directory.
        host: The sources of the host's own settings.
        tutors: The sources of each tutor's settings, by its name, without unreadable files.
        unknown: Variables that match no setting, by their names.
        broken: Problems of host.yaml and the environment file as YAML.
        broken_tutors: Problems of the tutors' files as YAML.
    """

    config: Path
    host: Sources
    tutors: Mapping[str, Sources]
    unknown: tuple[tuple[str, Variable], ...]
    broken: tuple[Problem, ...]
    broken_tutors: tuple[Problem, ...]

    def where_tutor(self, tutor: str, *place: str | int) -> str:
        """Return the variable, or file and key, of a tutor's setting."""
        sources = self.tutors.get(tutor)
        return sources.where(place) if sources else tutor_key(self.config, tutor, spelled(place))


def read_sources(config: Path, environ: Mapping[str, str]) -> ConfigSources:
    """Read all sources of a configuration.

    Precedence, highest first: `LOQUA_…` variables, the guide's own, both kinds in `.env`,
    environments/NAME.yaml, host.yaml.
    """
    environment = choose_environment(environ)
    files = sorted((config / "tutors").glob("*.y*ml"))
    names = [file.stem for file in files]
    variables = [sort_variables(environ, names)]
    if environment is Environment.DEVELOPMENT:
        file = dotenv_file(config)
        variables.append(sort_variables(read_dotenv(file) or {}, names, file))
    host, broken = _host_files(config, environment)
    tutors, broken_tutors = _tutor_files(files)
    return ConfigSources(
        config,
        Sources((*_host_variables(variables), *host), ADDRESSES),
        {
            name: Sources((*_tutor_variables(name, variables), file))
            for name, file in tutors.items()
        },
        tuple(one for found in variables for one in found.unknown.items()),
        tuple(broken),
        tuple(broken_tutors),
    )


def tutor_file(config: Path, tutor: str) -> Path:
    """Return the file of a tutor."""
    return config / "tutors" / f"{tutor}.yaml"


def tutor_key(config: Path, tutor: str, key: str) -> str:
    """Return the file and key of a tutor's setting, as problems show it."""
    return f"{tutor_file(config, tutor)}: {key}"


def _host_variables(variables: list[Variables]) -> Iterator[VariablesSource]:
    for found in variables:
        yield VariablesSource(HostSettings, PREFIX, found.host)
        yield VariablesSource(HostSettings, PREFIX, found.guide)


def _tutor_variables(tutor: str, variables: list[Variables]) -> Iterator[VariablesSource]:
    for found in variables:
        yield VariablesSource(TutorSettings, tutor_prefix(tutor), found.tutors.get(tutor, {}))


def _host_files(config: Path, environment: Environment) -> tuple[list[FileSource], list[Problem]]:
    """Read host.yaml and, with higher precedence, the environment file if there is one."""
    base, overlay = config / "host.yaml", config / "environments" / f"{environment}.yaml"
    sources, problems = [], []
    for file in (overlay, base) if overlay.exists() else (base,):
        data, faults = read_yaml(file)
        if file == base:  # With these sections present, a problem names only the missing address.
            data = {section: {} for section, *key in ADDRESSES if key} | data
        sources.append(FileSource(HostSettings, file, data))
        problems += faults
    return sources, problems


def _tutor_files(files: list[Path]) -> tuple[dict[str, FileSource], list[Problem]]:
    sources, problems = {}, []
    for file in files:
        data, faults = read_yaml(file)
        if not _TUTOR_FILE.fullmatch(file.name):
            hint = "rename it to lower-case words joined by hyphens, such as my-tutor.yaml"
            faults = [Problem(printable(str(file)), "is not a tutor's file", hint)]
        problems += faults
        if not faults:
            sources[file.stem] = FileSource(TutorSettings, file, data)
    return sources, problems


def _follow(data: Any, place: KeyPath) -> tuple[int, Any]:
    """Follow a place through data; return how many steps exist, and the value there."""
    for depth, step in enumerate(place):
        if isinstance(data, list) and isinstance(step, str) and len(data) == 1:
            data = data[0]  # a list with one item may be addressed without an index
        if isinstance(data, dict) and step in data:
            data = data[str(step)]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return depth, data
    return len(place), data


def _leaves(data: Any, place: tuple[str | int, ...]) -> Iterator[tuple[KeyPath, Any]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data)
    for step, value in inner:
        if isinstance(value, dict | list):
            yield from _leaves(value, (*place, step))
        else:
            yield (*place, step), value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        ValueError: If a key is duplicate.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is duplicate")
    return found


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")
