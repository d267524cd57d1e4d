"""The host's secrets, apart from its settings: read once, never printed, never pickled."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loqua_host.core.clock import SystemClock
from loqua_host.core.events import Events
from loqua_host.core.secrets import (
    EnvironmentSecrets,
    KeptSecrets,
    Sealed,
    Secret,
    SecretName,
    SecretsSettings,
    SecretsSource,
    open_source,
)
from loqua_host.errors import ConfigError, Problem, SecretsError

from .host import Environment
from .sources import choose_environment, read_environ

__all__ = ["HOST_SECRETS", "HostSecrets", "read_ledger_keys", "read_secrets"]

AGENT_SECRETS: Final = {
    Environment.DEVELOPMENT: "DEV_AGENT_SECRET",
    Environment.STAGING: "STAGING_AGENT_SECRET",
    Environment.PRODUCTION: "PROD_AGENT_SECRET",
}
_NEEDED: Final = ("AGENT_JWT_TOKEN", "SHARED_SECRET", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
_ROTATED: Final = ("AGENT_JWT_TOKEN", "LEDGER_KEY", "SHARED_SECRET", *AGENT_SECRETS.values())
HOST_SECRETS: Final = frozenset(
    {*_NEEDED, *_ROTATED, *(f"{name}_PREVIOUS" for name in _ROTATED), "VAULT_TOKEN"}
)
"""The variables that no tutor may have."""

FROM_ENVIRONMENT: Final = SecretsSettings()

_LONG: Final = 32
"""Bytes: the AES-256 key that the shared secret becomes, and LiveKit's HMAC-SHA256 key."""


@dataclass(frozen=True, slots=True, repr=False)
class HostSecrets:
    """The secrets of the host process. Unprintable; pickling or copying one is refused.

    Attributes:
        core: The core's: its JWT towards the Loqua API, and what user tokens are encrypted
            with. They may be rotated while the host runs.
        livekit_api_key: LiveKit's API key.
        livekit_api_secret: LiveKit's API secret.
        ledger: What learners' data in the ledger is sealed with, the key before it behind it;
            none keeps data as it is, in development.
        granted: The secrets that config grants to engines and tutors, by variable.
    """

    core: KeptSecrets
    livekit_api_key: Sealed
    livekit_api_secret: Sealed
    ledger: tuple[Sealed, ...] = ()
    granted: Mapping[str, Sealed] = field(default_factory=dict)

    def grant(self, names: Iterable[str]) -> dict[str, str]:
        """Give the named secrets in the open, for one lesson's job.

        Raises:
            KeyError: If config grants no such secret to anybody.
        """
        return {name: self.granted[name].get_secret_value() for name in sorted(names)}


def read_secrets(
    config: Path,
    environ: Mapping[str, str],
    names: Iterable[str] = (),
    settings: SecretsSettings = FROM_ENVIRONMENT,
    wanted: Iterable[SecretName] = tuple(SecretName),
) -> HostSecrets:
    """Read the host's secrets, and those `names` that config grants to engines and tutors.

    Of the core's secrets those are read that it wants.

    The shared secret is that of the environment (`PROD_AGENT_SECRET` in production), or
    `SHARED_SECRET`. This waits for the place that they are in.

    Raises:
        ConfigError: With every secret that is missing or, in production, too short; or the
            place cannot be reached.
    """
    environment = choose_environment(environ)
    source = open_source(settings, read_environ(config, environ))
    found = _look_up(source, _sought(environment, names), settings)
    shared = AGENT_SECRETS[environment] if AGENT_SECRETS[environment] in found else "SHARED_SECRET"
    variables = {name: shared if name is SecretName.SHARED_SECRET else name for name in wanted}
    needed = [*variables.values(), "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", *sorted(names)]
    if environment is Environment.PRODUCTION:
        needed.append("LEDGER_KEY")
    problems = [_missing(name, source) for name in dict.fromkeys(needed) if name not in found]
    if environment is Environment.PRODUCTION:
        problems += _short(found, (shared, "LIVEKIT_API_SECRET", "LEDGER_KEY"))
    if problems:
        raise ConfigError(problems)
    core = {name: found[variable] for name, variable in variables.items()}
    # The environment that was handed over never changes.
    interval = math.inf if isinstance(source, EnvironmentSecrets) else settings.interval
    return HostSecrets(
        core=KeptSecrets(source, variables, core, SystemClock(), Events(), interval),
        livekit_api_key=found["LIVEKIT_API_KEY"].current,
        livekit_api_secret=found["LIVEKIT_API_SECRET"].current,
        ledger=found["LEDGER_KEY"].values() if "LEDGER_KEY" in found else (),
        granted={name: found[name].current for name in names},
    )


def read_ledger_keys(
    config: Path, environ: Mapping[str, str], settings: SecretsSettings
) -> tuple[Sealed, ...]:
    """Read what the ledger is sealed with, the key before it behind it.

    Raises:
        ConfigError: The place that secrets are in cannot be reached.
    """
    source = open_source(settings, read_environ(config, environ))
    found = _look_up(source, ("LEDGER_KEY",), settings)
    return found["LEDGER_KEY"].values() if found else ()


def _sought(environment: Environment, names: Iterable[str]) -> tuple[str, ...]:
    return (AGENT_SECRETS[environment], *_NEEDED, "LEDGER_KEY", *sorted(names))


def _look_up(
    source: SecretsSource, variables: Iterable[str], settings: SecretsSettings
) -> dict[str, Secret]:
    try:
        found = {variable: source.fetch(variable) for variable in variables}
    except SecretsError as error:
        mend = "mend it there, or say another place"
        raise ConfigError([Problem(f"secrets: from: {settings.place}", str(error), mend)]) from None
    return {variable: secret for variable, secret in found.items() if secret}


def _missing(name: str, source: SecretsSource) -> Problem:
    if isinstance(source, EnvironmentSecrets):
        return Problem(name, "is not set", "set this environment variable to the secret's value")
    return Problem(name, f"is not in {source.place}", "put the secret there under this name")


def _short(found: Mapping[str, Secret], names: Iterable[str]) -> Iterator[Problem]:
    for name in names:
        if name in found and len(found[name].current.get_secret_value().encode()) < _LONG:
            mend = f"use a secret of {_LONG} bytes or more"
            yield Problem(name, "is too short for production", mend)
