"""The variables that the host is given, and what each of them sets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from .host import Environment, HostSettings
from .problems import Place, takes
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
"""What a variable begins with that sets a setting."""

DELIMITER: Final = "__"
"""What separates two keys in a variable; a single underscore is part of a key."""

ENVIRONMENT: Final = "LOQUA_ENVIRONMENT"
"""The variable that chooses the environment, and with it what else is read."""

ADDRESSES: Final = {
    ("agent_id",): "AGENT_ID",
    ("livekit", "url"): "LIVEKIT_URL",
    ("api", "api_base_url"): "API_BASE_URL",
}
"""The Loqua guide's own variables, by the place in `HostSettings` that they set."""

_HOST: Final = "_SERVICE_HOST"

_TUTORS: Final = f"{PREFIX}TUTORS{DELIMITER}"


def variable_name(prefix: str, place: Place) -> str:
    """Return the name of the variable that sets a place in settings."""
    return prefix + DELIMITER.join(map(str, place)).upper()


_GUIDE: Final = {name: variable_name(PREFIX, place) for place, name in ADDRESSES.items()}
"""The variables that set the same as the guide's own."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable: its value, which may be a secret at the wrong place, and how problems name it."""

    value: str = field(repr=False)
    shown: str


Named = dict[str, Variable]
"""Variables by the `LOQUA_…` names that set the same."""


@dataclass(frozen=True, slots=True)
class Variables:
    """Variables of the environment or of `.env`, sorted by what they set.

    Attributes:
        guide: The guide's own.
        host: Those that set the host's settings.
        tutors: Those that set a tutor's, by its name.
        unknown: Those that begin like a setting and set none.
    """

    guide: Named = field(default_factory=dict)
    host: Named = field(default_factory=dict)
    tutors: dict[str, Named] = field(default_factory=dict)
    unknown: Named = field(default_factory=dict)


def sort_variables(
    given: Mapping[str, str], tutors: Iterable[str], file: Path | None = None
) -> Variables:
    """Sort the variables that count; empty ones count as not set.

    Args:
        given: The variables.
        tutors: The names of all tutors.
        file: The `.env` that they are in.
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
    """Return what kind of variable a name is of, and its `LOQUA_…` name."""
    if name in _GUIDE:
        return found.guide, _GUIDE[name]
    prefix = next((one for one in prefixes if name.startswith(one)), None)
    model, begins = (TutorSettings, prefix) if prefix else (HostSettings, PREFIX)
    keys = name.removeprefix(begins).lower().split(DELIMITER)
    if name != name.upper() or not takes(model, keys):
        return found.unknown, name
    return found.tutors.setdefault(prefixes[prefix], {}) if prefix else found.host, name


def _is_foreign(name: str, given: Mapping[str, str]) -> bool:
    """Return whether a variable is not read here: another's, or the one that names the environment.

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
    """Return what the variables of a tutor's settings begin with."""
    return f"{_TUTORS}{tutor.upper().replace('-', '_')}{DELIMITER}"


def choose_environment(environ: Mapping[str, str]) -> Environment:
    """Return the environment that `LOQUA_ENVIRONMENT` names, development without it.

    A name that is none is reported by `load`; until then it counts as production, the
    strictest.
    """
    name = environ.get(ENVIRONMENT) or Environment.DEVELOPMENT
    return Environment(name) if name in set(Environment) else Environment.PRODUCTION


def read_environ(config: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment; in development, over what `.env` beside config/ says.

    Empty variables count as not set.
    """
    given = {name: value for name, value in environ.items() if value}
    if choose_environment(environ) is not Environment.DEVELOPMENT:
        return given
    return (read_dotenv(dotenv_file(config)) or {}) | given


def dotenv_file(config: Path) -> Path:
    """Return where `.env` is in development: beside config/, not in it."""
    return config.absolute().parent / ".env"


def read_dotenv(file: Path) -> dict[str, str] | None:
    """Return the variables that the file sets, none when it is not there, None if unreadable."""
    try:
        text = file.read_text("utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError):
        return None
    written = dotenv_values(stream=StringIO(text), interpolate=False)
    return {name: value for name, value in written.items() if value}
