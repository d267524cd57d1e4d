"""The host's secrets, apart from its settings: read once, never printed, never pickled."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from loqua_host.core.secrets.port import Sealed
from loqua_host.errors import ConfigError, Problem

from .host import Environment
from .sources import choose_environment, read_environ

__all__ = ["HOST_SECRETS", "HostSecrets", "read_secrets"]

AGENT_SECRETS: Final = {
    Environment.DEVELOPMENT: "DEV_AGENT_SECRET",
    Environment.STAGING: "STAGING_AGENT_SECRET",
    Environment.PRODUCTION: "PROD_AGENT_SECRET",
}
HOST_SECRETS: Final = frozenset(
    {
        "AGENT_JWT_TOKEN",
        "LIVEKIT_API_KEY",
        "LIVEKIT_API_SECRET",
        "SHARED_SECRET",
        *AGENT_SECRETS.values(),
    }
)
"""The variables that no tutor may have."""

_LONG: Final = 32
"""Bytes: the AES-256 key that the shared secret becomes, and LiveKit's HMAC-SHA256 key."""


@dataclass(frozen=True, slots=True, repr=False)
class HostSecrets:
    """The secrets of the host process. Unprintable; pickling or copying one is refused.

    Attributes:
        agent_jwt: The host's own JWT towards the Loqua API.
        shared_secret: What user tokens are encrypted with.
        livekit_api_key: LiveKit's API key.
        livekit_api_secret: LiveKit's API secret.
        granted: The secrets that config grants to engines and tutors, by variable.
    """

    agent_jwt: Sealed
    shared_secret: Sealed
    livekit_api_key: Sealed
    livekit_api_secret: Sealed
    granted: Mapping[str, Sealed] = field(default_factory=dict)

    def grant(self, names: Iterable[str]) -> dict[str, str]:
        """Give the named secrets in the open, for one lesson's job.

        Raises:
            KeyError: If config grants no such secret to anybody.
        """
        return {name: self.granted[name].get_secret_value() for name in sorted(names)}


def read_secrets(
    config: Path, environ: Mapping[str, str], names: Iterable[str] = ()
) -> HostSecrets:
    """Read the host's secrets, and those `names` that config grants to engines and tutors.

    The shared secret is that of the environment (`PROD_AGENT_SECRET` in production), or
    `SHARED_SECRET`.

    Raises:
        ConfigError: With every secret that is missing or, in production, too short.
    """
    environment = choose_environment(environ)
    given = read_environ(config, environ)
    shared = AGENT_SECRETS[environment]
    if shared not in given:
        shared = "SHARED_SECRET"
    needed = ("AGENT_JWT_TOKEN", shared, "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", *sorted(names))
    problems = [_missing(name) for name in dict.fromkeys(needed) if name not in given]
    if environment is Environment.PRODUCTION:
        keys = (shared, "LIVEKIT_API_SECRET")
        problems += [_short(key) for key in keys if 0 < len(given.get(key, "").encode()) < _LONG]
    if problems:
        raise ConfigError(problems)
    return HostSecrets(
        agent_jwt=Sealed(given["AGENT_JWT_TOKEN"]),
        shared_secret=Sealed(given[shared]),
        livekit_api_key=Sealed(given["LIVEKIT_API_KEY"]),
        livekit_api_secret=Sealed(given["LIVEKIT_API_SECRET"]),
        granted={name: Sealed(given[name]) for name in names},
    )


def _missing(name: str) -> Problem:
    return Problem(name, "is not set", "set this environment variable to the secret's value")


def _short(name: str) -> Problem:
    return Problem(name, "is too short for production", f"use a secret of {_LONG} bytes or more")
