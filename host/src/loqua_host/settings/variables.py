"""Environment variables of the host, and the settings that they override."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from .host import Environment, HostSettings
from .problems import KeyPath, takes
from .tutors import TutorSettings

__all__ = [
    "ADDRESSES",
    "DELIMITER",
    "ENVIRONMENT",
    "PREFIX",
    "Variable",
    "Variables",
    "choose_environment",
    "dotenv_file",
    "read_dotenv",
    "read_environ",
    "sort_variables",
    "tutor_prefix",
    "variable_name",
]

PREFIX: Final = "LOQUA_"
"""The prefix of variables that override settings."""

DELIMITER: Final = "__"
"""The separator of keys in a variable; a single underscore is part of a key."""

ENVIRONMENT: Final = "LOQUA_ENVIRONMENT"
"""The variable that selects the environment, and with it which files are read."""

ADDRESSES: Final = {
    ("agent_id",): "AGENT_ID",
    ("livekit", "url"): "LIVEKIT_URL",
    ("api", "api_base_url"): "API_BASE_URL",
}
"""The Loqua guide's own variables, by the place in `HostSettings` that they set."""

_HOST: Final = "_SERVICE_HOST"

_TUTORS: Final = f"{PREFIX}TUTORS{DELIMITER}"


def variable_name(prefix: str, place: KeyPath) -> str:
    """Return the name of the variable that sets a place in settings."""
    return prefix + DELIMITER.join(map(str, place)).upper()


_GUIDE: Final = {name: variable_name(PREFIX, place) for place, name in ADDRESSES.items()}
"""The `LOQUA_…` names that set the same as the guide's own variables."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable: its value, which may be a misplaced secret, and its name in problems."""

    value: str = field(repr=False)
    shown: str


Named = dict[str, Variable]
"""Variables by their `LOQUA_…` names."""


@dataclass(frozen=True, slots=True)
class Variables:
    """Variables of the environment or of `.env`, by what they set.

    Attributes:
        guide: The guide's own variables.
        host: Variables for the host's settings.
        tutors: Variables for a tutor's settings, by the tutor's name.
        unknown: `LOQUA_…` variables that match no setting.
    """

    guide: Named = field(default_factory=dict)
    host: Named = field(default_factory=dict)
    tutors: dict[str, Named] = field(default_factory=dict)
    unknown: Named = field(default_factory=dict)


def sort_variables(
    given: Mapping[str, str], tutors: Iterable[str], file: Path | None = None
) -> Variables:
    """Sort variables by what they set. Empty variables count as unset.

    Args:
        given: The variables.
        tutors: The names of all tutors.
        file: The `.env` file that contains them.
    """
    prefixes = {tutor_prefix(tutor): tutor for tutor in tutors}
    found = Variables()
    for name, value in given.items():
        if value and not _is_foreign(name, given):
            variable = Variable(value, f"{file}: {name}" if file else name)
            found_in, known = _kind(found, name, prefixes)
            found_in[known] = variable
    return found


def _kind(found: Variables, name: str, prefixes: Mapping[str, str]) -> tuple[Named, str]:
    """Return the group of a variable, and its `LOQUA_…` name."""
    if name in _GUIDE:
        return found.guide, _GUIDE[name]
    prefix = next((one for one in prefixes if name.startswith(one)), None)
    model, begins = (TutorSettings, prefix) if prefix else (HostSettings, PREFIX)
    keys = name.removeprefix(begins).lower().split(DELIMITER)
    if name != name.upper() or not takes(model, keys):
        return found.unknown, name
    return found.tutors.setdefault(prefixes[prefix], {}) if prefix else found.host, name


def _is_foreign(name: str, given: Mapping[str, str]) -> bool:
    """Return whether a variable sets no setting: another program's, or LOQUA_ENVIRONMENT.

    A pod has `LOQUA_OPS_SERVICE_HOST`, `LOQUA_OPS_PORT` and others if its namespace has a service
    `loqua-ops` (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
    """
    if name in _GUIDE:
        return False
    if name == ENVIRONMENT or not name.upper().startswith(PREFIX):
        return True
    services = (one.removesuffix(_HOST) for one in given if one.endswith(_HOST))
    return any(
        name == f"{service}_PORT" or name.startswith((f"{service}_SERVICE_", f"{service}_PORT_"))
        for service in services
    )


def tutor_prefix(tutor: str) -> str:
    """Return the prefix of the variables for a tutor's settings."""
    return f"{_TUTORS}{tutor.upper().replace('-', '_')}{DELIMITER}"


def choose_environment(environ: Mapping[str, str]) -> Environment:
    """Return the environment that `LOQUA_ENVIRONMENT` names, or else development.

    An unknown name counts as production, the strictest; `load` reports it.
    """
    name = environ.get(ENVIRONMENT) or Environment.DEVELOPMENT
    return Environment(name) if name in set(Environment) else Environment.PRODUCTION


def read_environ(config: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables; in development, those of `.env` are added.

    Empty variables count as unset.
    """
    given = {name: value for name, value in environ.items() if value}
    if choose_environment(environ) is not Environment.DEVELOPMENT:
        return given
    return (read_dotenv(dotenv_file(config)) or {}) | given


def dotenv_file(config: Path) -> Path:
    """Return the path of `.env`: beside config/, not in it."""
    return config.absolute().parent / ".env"


def read_dotenv(file: Path) -> dict[str, str] | None:
    """Return the variables of the file: none if it does not exist, None if it is unreadable."""
    try:
        text = file.read_text("utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError):
        return None
    written = dotenv_values(stream=StringIO(text), interpolate=False)
    return {name: value for name, value in written.items() if value}
