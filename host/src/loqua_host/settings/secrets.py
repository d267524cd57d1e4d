"""The host's secrets, separate from its settings. They cannot be printed or pickled."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Final

from loqua_host.core.clock import SystemClock
from loqua_host.core.secrets import (
    CoreSecret,
    EnvironmentSecrets,
    Sealed,
    Secret,
    SecretCache,
    SecretsSettings,
    SecretsSource,
    look_up,
    open_source,
)
from loqua_host.errors import ConfigError, Problem, SecretsError, UnusableSecretError

from .host import Environment, HostSettings
from .postgres import postgres_problems
from .problems import KeyPath
from .sources import read_sources
from .tracing import COLLECTOR_HEADERS
from .tutors import SecretLocation
from .variables import choose_environment, read_environ

__all__ = [
    "HOST_SECRETS",
    "Granted",
    "HostSecrets",
    "LedgerSecrets",
    "LiveKitKey",
    "WantedSecrets",
    "misplaced_secret",
    "read_ledger_secrets",
    "read_ops_tokens",
    "read_secrets",
]

AGENT_SECRETS: Final = {
    Environment.DEVELOPMENT: "DEV_AGENT_SECRET",
    Environment.STAGING: "STAGING_AGENT_SECRET",
    Environment.PRODUCTION: "PROD_AGENT_SECRET",
}
_LIVEKIT: Final = ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
_LEDGER: Final = ("LEDGER_KEY", "LEDGER_URL")
_ROTATED: Final = (
    *CoreSecret,
    *AGENT_SECRETS.values(),
    *_LIVEKIT,
    "LEDGER_KEY",
    "OPS_TOKEN",
)
_VAULT: Final = ("VAULT_TOKEN", "VAULT_SECRET_ID")
HOST_SECRETS: Final = frozenset(
    {
        *_ROTATED,
        *(f"{name}_PREVIOUS" for name in _ROTATED),
        "LEDGER_URL",
        *_VAULT,
        *COLLECTOR_HEADERS,
    }
)
"""The secrets that no tutor may have."""

FROM_ENVIRONMENT: Final = SecretsSettings()

_LONG: Final = 32
"""Bytes of the AES-256 key derived from the shared secret, and of LiveKit's HMAC-SHA256 key."""

_OPEN_OPS: Final = Problem(
    "OPS_TOKEN",
    "is not set, and ops.address is open to a network",
    "set it to 32 random bytes or more, such as `openssl rand -hex 32`, "
    "or write ops.address: 127.0.0.1",
)


@dataclass(frozen=True, slots=True)
class LiveKitKey:
    """An API key of a LiveKit server."""

    key: Sealed
    secret: Sealed


@dataclass(frozen=True, slots=True)
class WantedSecrets:
    """The secrets that a configuration needs, and their source.

    Attributes:
        place: The source.
        core: The secrets of the core.
        granted: The names of those granted to engines and tutors.
        ops_token: Whether the ops address requires `OPS_TOKEN`.
        shared_ledger: Whether regions share the ledger, which `LEDGER_URL` names.
        named: The places in config/ that name granted secrets.
    """

    place: SecretsSettings = FROM_ENVIRONMENT
    core: tuple[CoreSecret, ...] = (CoreSecret.AGENT_JWT_TOKEN, CoreSecret.SHARED_SECRET)
    granted: frozenset[str] = frozenset()
    ops_token: bool = False
    shared_ledger: bool = False
    named: Mapping[str, SecretLocation] = field(default_factory=dict)

    @classmethod
    def by(cls, settings: HostSettings | None) -> "WantedSecrets":
        """Return what these settings need; without settings, what every host needs."""
        if settings is None:
            return cls()
        return cls(
            settings.secrets,
            settings.api.secret_names,
            settings.secret_names,
            ops_token=not settings.ops.is_private,
            shared_ledger=settings.regions is not None,
            named=settings.secret_locations,
        )


class Granted(Mapping[str, str]):
    """Secrets granted to a tutor and its engines, as plain text with their latest values."""

    def __init__(self, cache: SecretCache, names: Iterable[str]) -> None:
        self._cache = cache
        self._names = sorted(names)

    def __getitem__(self, name: str) -> str:
        """Return a secret's value."""
        if name not in self._names:
            raise KeyError(name)
        return self._cache.get(name).current.get_secret_value()

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of secrets."""
        return len(self._names)


@dataclass(frozen=True, slots=True, repr=False)
class LedgerSecrets:
    """The ledger's secrets; they cannot be printed.

    Attributes:
        keys: The keys for learners' data, current one first. Without keys, in development, data is
            not encrypted.
        url: The Postgres URL with its password, or None for a SQLite file.
    """

    keys: tuple[Sealed, ...] = ()
    url: Sealed | None = None

    def open_keys(self) -> list[str]:
        """Return the keys as plain text."""
        return [key.get_secret_value() for key in self.keys]

    def open_url(self) -> str | None:
        """Return the URL as plain text."""
        return None if self.url is None else self.url.get_secret_value()


@dataclass(frozen=True, slots=True, repr=False)
class HostSecrets:
    """The secrets of the host process. They cannot be printed, pickled or copied.

    Attributes:
        cache: The secrets that may be rotated while the host runs: those of the core, LiveKit's API
            key, the ledger's key, the ops token and those granted to tutors.
        ledger_url: The ledger's Postgres URL, read at the start only.
        granted: The names of the secrets granted to engines and tutors.
        advice: In staging, what production would refuse.
    """

    cache: SecretCache
    ledger_url: Sealed | None = None
    granted: frozenset[str] = frozenset()
    advice: tuple[Problem, ...] = ()

    @property
    def ledger(self) -> LedgerSecrets:
        """The latest secrets of the ledger."""
        return LedgerSecrets(self.cache.values("LEDGER_KEY"), self.ledger_url)

    def livekit(self) -> LiveKitKey:
        """Return the latest LiveKit API key."""
        key, secret = map(self.cache.get, _LIVEKIT)
        return LiveKitKey(key.current, secret.current)

    def livekit_keys(self) -> tuple[LiveKitKey, ...]:
        """Return every API key that LiveKit may sign with, also during a rotation."""
        pairs = product(*(self.cache.get(name).values() for name in _LIVEKIT))
        return tuple(LiveKitKey(*pair) for pair in pairs)

    def ops_tokens(self) -> tuple[Sealed, ...]:
        """Return the valid tokens of the ops address; none if it requires none."""
        return self.cache.values("OPS_TOKEN")

    def including(self, later: "HostSecrets") -> "HostSecrets":
        """Return these secrets with those that a later reading grants in addition."""
        for name in sorted(later.granted - self.granted):
            self.cache.add(name, later.cache.get(name))
        return replace(self, granted=self.granted | later.granted)

    def grant(self, names: Iterable[str]) -> Granted:
        """Return the named secrets, for a tutor's jobs.

        Raises:
            KeyError: If config/ does not grant such a secret.
        """
        if stray := set(names) - self.granted:
            raise KeyError(*stray)
        return Granted(self.cache, names)


EVERY_HOST: Final = WantedSecrets()


def read_secrets(
    config: Path, environ: Mapping[str, str], wanted: WantedSecrets = EVERY_HOST
) -> HostSecrets:
    """Read the host's secrets, and those granted to engines and tutors.

    The shared secret is that of the environment (`PROD_AGENT_SECRET` in production), or else
    `SHARED_SECRET`. This blocks while the source responds.

    Raises:
        ConfigError: With every secret that is missing, unusable or, in production, too short; or
            if the source is unreachable.
    """
    environment = choose_environment(environ)
    source = open_source(wanted.place, read_environ(config, environ))
    own = AGENT_SECRETS[environment]
    sought = (own, *CoreSecret, *_LIVEKIT, *_LEDGER, "OPS_TOKEN", *sorted(wanted.granted))
    found, unusable = _look_up(source, sought, wanted.place)
    there = {*found, *(problem.where for problem in unusable)}
    shared = own if own in there else "SHARED_SECRET"
    variables = {name: shared if name is CoreSecret.SHARED_SECRET else name for name in wanted.core}
    needed = [*variables.values(), *_LIVEKIT, *sorted(wanted.granted)]
    lacking = [name for name in dict.fromkeys(needed) if name not in there]
    users = {
        name: _user(config, environ, wanted.named[name]) for name in lacking if name in wanted.named
    }
    missing = [_missing(name, source, users.get(name)) for name in lacking]
    problems = [*unusable, *missing]
    if wanted.ops_token and "OPS_TOKEN" not in there:
        problems.append(_OPEN_OPS)
    if wanted.shared_ledger and "LEDGER_URL" not in there:
        problems.append(_missing("LEDGER_URL", source, "regions: in host.yaml"))
    strict = list(_in_production(found, there, source, shared))
    if environment is Environment.PRODUCTION:
        problems += strict
    else:
        problems += _databases(found, in_production=False)
    if problems:
        raise ConfigError(problems)
    return HostSecrets(
        cache=_cache(source, variables, found, wanted),
        ledger_url=found["LEDGER_URL"].current if "LEDGER_URL" in found else None,
        granted=wanted.granted,
        advice=tuple(strict) if environment is Environment.STAGING else (),
    )


def _in_production(
    found: Mapping[str, Secret], there: Collection[str], source: SecretsSource, shared: str
) -> Iterator[Problem]:
    """Find what production refuses and staging warns about."""
    if "LEDGER_KEY" not in there:
        yield _missing("LEDGER_KEY", source)
    yield from _short(found, (shared, "LIVEKIT_API_SECRET", "LEDGER_KEY", "OPS_TOKEN"))
    yield from _databases(found, in_production=True)


def _databases(found: Mapping[str, Secret], *, in_production: bool) -> Iterator[Problem]:
    for name in ("LEDGER_URL", CoreSecret.SUPABASE_DB_URL):
        if name in found:
            yield from postgres_problems(name, _open(found[name]), in_production=in_production)


def _open(secret: Secret) -> str:
    return secret.current.get_secret_value()


def _cache(
    source: SecretsSource,
    core: Mapping[CoreSecret, str],
    found: Mapping[str, Secret],
    wanted: WantedSecrets,
) -> SecretCache:
    optional = [name for name in ("LEDGER_KEY", "OPS_TOKEN") if name in found]
    others = (*_LIVEKIT, *optional, *sorted(wanted.granted))
    variables = {str(name): variable for name, variable in core.items()}
    variables |= {name: name for name in others}
    secrets = {name: found[variable] for name, variable in variables.items()}
    # Environment variables never change, so they are never read again.
    interval = math.inf if isinstance(source, EnvironmentSecrets) else wanted.place.interval
    return SecretCache(source, variables, secrets, SystemClock(), interval)


def read_ledger_secrets(
    config: Path, environ: Mapping[str, str], settings: SecretsSettings
) -> LedgerSecrets:
    """Read the ledger's secrets.

    Raises:
        ConfigError: If the source is unreachable, or a secret is unusable.
    """
    source = open_source(settings, read_environ(config, environ))
    found, unusable = _look_up(source, _LEDGER, settings)
    if unusable:
        raise ConfigError(unusable)
    return _ledger_secrets(found)


def read_ops_tokens(
    config: Path, environ: Mapping[str, str], settings: SecretsSettings
) -> tuple[Sealed, ...]:
    """Read the tokens of the ops address, current one first; none if there is none.

    Raises:
        ConfigError: If the source is unreachable, or the token is unusable.
    """
    source = open_source(settings, read_environ(config, environ))
    found, unusable = _look_up(source, ("OPS_TOKEN",), settings)
    if unusable:
        raise ConfigError(unusable)
    return found["OPS_TOKEN"].values() if found else ()


def misplaced_secret(place: KeyPath) -> str | None:
    """Return a hint for an unknown key with the name of a secret, else None."""
    names = (str(place[-1]).upper(), "_".join(map(str, place)).upper())
    secret = next((name for name in names if name in HOST_SECRETS), None)
    return f"remove it, and set {secret} where the secrets are" if secret else None


def _ledger_secrets(found: Mapping[str, Secret]) -> LedgerSecrets:
    key, url = (found.get(name) for name in _LEDGER)
    return LedgerSecrets(key.values() if key else (), url.current if url else None)


def _look_up(
    source: SecretsSource, variables: Iterable[str], settings: SecretsSettings
) -> tuple[dict[str, Secret], list[Problem]]:
    """Look secrets up; return those that exist, and the problems of unusable ones."""
    found, problems = {}, []
    for variable in dict.fromkeys(variables):
        try:
            if secret := look_up(source, variable):
                found[variable] = secret
        except UnusableSecretError as error:
            problems.append(_unusable(error, source))
        except SecretsError as error:
            where, hint = f"secrets: from: {settings.place}", "correct it, or name another source"
            raise ConfigError([Problem(where, str(error), hint)]) from None
    return found, problems


def _unusable(error: UnusableSecretError, source: SecretsSource) -> Problem:
    given = isinstance(source, EnvironmentSecrets)
    what = error.what if given else f"{error.what}, as it is in {source.place}"
    return Problem(error.variable, what, error.hint)


def _missing(name: str, source: SecretsSource, user: str | None = None) -> Problem:
    """Return the problem of a missing secret, and the setting that needs it."""
    named = f", and {user} needs it" if user else ""
    if isinstance(source, EnvironmentSecrets):
        hint = "set this environment variable to the secret's value"
        return Problem(name, f"is not set{named}", hint)
    return Problem(name, f"is not in {source.place}{named}", "put the secret there under this name")


def _user(config: Path, environ: Mapping[str, str], place: SecretLocation) -> str:
    tutor, keys = place
    sources = read_sources(config, environ)
    return sources.where_tutor(tutor, *keys) if tutor else sources.host.where(keys)


def _short(found: Mapping[str, Secret], names: Iterable[str]) -> Iterator[Problem]:
    for name in names:
        if name in found and len(_open(found[name]).encode()) < _LONG:
            hint = f"use a secret of {_LONG} bytes or more"
            yield Problem(name, "is too short for production", hint)
