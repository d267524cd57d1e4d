"""Where settings are written, strongest first, and which of these sources says what."""

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
from .problems import NotJson, Place, printable, spelled
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
    """`LOQUA_…` variables, as pydantic-settings reads them: sections and lists are JSON.

    Args:
        settings: The class that they set.
        prefix: What is before the first key.
        variables: The variables, each of which leads to a setting.
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
        """Return a section or list, or the text that is none, which validation refuses."""
        try:
            return json.loads(value, object_pairs_hook=_once_each, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return NotJson(value)

    def _coerce_env_val_strict(self, field: FieldInfo | None, value: Any) -> Any:
        """Return a value as its field takes it; in mappings of anything, JSON or else the text."""
        if isinstance(field, FieldInfo) or field is str or type(value) is not str:
            return super()._coerce_env_val_strict(field, value)
        decoded = self.decode_complex_value("", field, value)
        return value if isinstance(decoded, NotJson) else decoded

    def where(self, place: Place) -> str:
        """Name the variable that gives a place, with the keys in its JSON, or that would."""
        for depth in range(len(place), 0, -1):
            if variable := self._variables.get(variable_name(self.env_prefix, place[:depth])):
                return ": ".join(filter(None, (variable.shown, spelled(place[depth:]))))
        name = variable_name(self.env_prefix, place)
        inside = (it.shown for at, it in self._variables.items() if at.startswith(name + DELIMITER))
        return ", ".join(inside) or name

    origin = where


class FileSource(InitSettingsSource):
    """A YAML file as `read_yaml` reads it; what is in it is not shown, for it may be a secret."""

    def __init__(self, settings: type[LayeredSettings], file: Path, data: dict[str, Any]) -> None:
        super().__init__(settings, data)
        self.data, self._file = data, file

    def where(self, place: Place) -> str:
        """Name the file and the key."""
        return f"{self._file}: {spelled(place)}"

    def origin(self, _: Place) -> str:
        """Name the file."""
        return str(self._file)

    def __repr__(self) -> str:
        """Return the file's name."""
        return f"FileSource({str(self._file)!r})"


Source: TypeAlias = VariablesSource | FileSource


@dataclass(frozen=True, slots=True, repr=False)
class Sources:
    """The sources of one settings class, strongest first; the last one is its file.

    Attributes:
        addresses: The variables to set where nothing is written.
    """

    all: tuple[Source, ...]
    addresses: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    def where(self, place: Place) -> str:
        """Name the variable, or file and key, that a value came from or belongs in."""
        if holder := self._holder(place):
            return holder.where(place)
        if variable := self.addresses.get(tuple(map(str, place))):
            return variable
        deepest = max(self.all, key=lambda source: _follow(source.data, place)[0])
        return (deepest if _follow(deepest.data, place)[0] else self.all[-1]).where(place)

    def origin(self, place: Place) -> str:
        """Name the variable or the file that gave a value, or `default`."""
        holder = self._holder(place)
        return holder.origin(place) if holder else "default"

    def values(self) -> Iterator[tuple[Place, Any, Source]]:
        """Yield each value that counts, after its place, with its source."""
        for source in self.all:
            for place, value in _leaves(source.data, ()):
                if self._holder(place) is source:
                    yield place, value, source

    def has_value(self, place: Place) -> bool:
        """Return whether a value is written at a place, rather than a section or nothing."""
        holder = self._holder(place)
        return holder is not None and not isinstance(_follow(holder.data, place)[1], dict)

    def _holder(self, place: Place) -> Source | None:
        for source in self.all:
            depth, value = _follow(source.data, place)
            if depth == len(place):
                return source
            if not isinstance(value, dict):  # It replaces all that weaker sources have here.
                return None
        return None


@dataclass(frozen=True, slots=True, repr=False)
class ConfigSources:
    """All that a configuration is written in.

    Attributes:
        config: The directory.
        host: The sources of the host's own settings.
        tutors: Those of each tutor's, by its name; none for a file that cannot be read.
        unknown: Variables that set nothing, by their names.
        broken: What is wrong with host.yaml and its overlay as files.
        broken_tutors: What is wrong with tutors' files as files.
    """

    config: Path
    host: Sources
    tutors: Mapping[str, Sources]
    unknown: tuple[tuple[str, Variable], ...]
    broken: tuple[Problem, ...]
    broken_tutors: tuple[Problem, ...]

    def where_tutor(self, tutor: str, *place: str | int) -> str:
        """Name the variable, or file and key, of a tutor's setting."""
        sources = self.tutors.get(tutor)
        return sources.where(place) if sources else tutor_key(self.config, tutor, spelled(place))


def read_sources(config: Path, environ: Mapping[str, str]) -> ConfigSources:
    """Read all sources of a configuration.

    `LOQUA_…` variables go before the guide's own, variables before `.env` in development, `.env`
    before environments/NAME.yaml, and that before host.yaml.
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
    """Name the file and key of a tutor's setting, as problems show it."""
    return f"{tutor_file(config, tutor)}: {key}"


def _host_variables(variables: list[Variables]) -> Iterator[VariablesSource]:
    for found in variables:
        yield VariablesSource(HostSettings, PREFIX, found.host)
        yield VariablesSource(HostSettings, PREFIX, found.guide)


def _tutor_variables(tutor: str, variables: list[Variables]) -> Iterator[VariablesSource]:
    for found in variables:
        yield VariablesSource(TutorSettings, tutor_prefix(tutor), found.tutors.get(tutor, {}))


def _host_files(config: Path, environment: Environment) -> tuple[list[FileSource], list[Problem]]:
    """Read host.yaml and the environment's overlay, if there is one; the overlay goes first."""
    base, overlay = config / "host.yaml", config / "environments" / f"{environment}.yaml"
    sources, problems = [], []
    for file in (overlay, base) if overlay.exists() else (base,):
        data, faults = read_yaml(file)
        if file == base:  # Sections of addresses are there, so that only the address is missing.
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
            faults = [Problem(printable(str(file)), "is no file of a tutor", hint)]
        problems += faults
        if not faults:
            sources[file.stem] = FileSource(TutorSettings, file, data)
    return sources, problems


def _follow(data: Any, place: Place) -> tuple[int, Any]:
    """Go as far along a place as data goes; return how many steps, and what is there."""
    for depth, step in enumerate(place):
        if isinstance(data, list) and isinstance(step, str) and len(data) == 1:
            data = data[0]  # a list of one may be read as what is in it
        if isinstance(data, dict) and step in data:
            data = data[str(step)]
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return depth, data
    return len(place), data


def _leaves(data: Any, place: tuple[str | int, ...]) -> Iterator[tuple[Place, Any]]:
    inner = data.items() if isinstance(data, dict) else enumerate(data)
    for step, value in inner:
        if isinstance(value, dict | list):
            yield from _leaves(value, (*place, step))
        else:
            yield (*place, step), value


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, if no key is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is no JSON")
