"""The host's secrets, apart from its settings: never printed, never pickled."""

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
from .problems import Place
from .sources import read_sources
from .tracing import COLLECTOR_HEADERS
from .tutors import SecretPlace
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
"""The variables that no tutor may have."""

FROM_ENVIRONMENT: Final = SecretsSettings()

_LONG: Final = 32
"""Bytes: the AES-256 key that the shared secret becomes, and LiveKit's HMAC-SHA256 key."""

_OPEN_OPS: Final = Problem(
    "OPS_TOKEN",
    "is not set, and ops.address is open to a network",
    "set it to 32 random bytes or more, such as `openssl rand -hex 32`, "
    "or write ops.address: 127.0.0.1",
)


@dataclass(frozen=True, slots=True)
class LiveKitKey:
    """What opens a LiveKit server."""

    key: Sealed
    secret: Sealed


@dataclass(frozen=True, slots=True)
class WantedSecrets:
    """Which secrets a configuration wants, and from where.

    Attributes:
        place: Where they are.
        core: Those of the core.
        granted: The names of those that config grants to engines and tutors.
        ops_token: Whether the ops address must not do without `OPS_TOKEN`.
        named: Where config names those that it grants.
    """

    place: SecretsSettings = FROM_ENVIRONMENT
    core: tuple[CoreSecret, ...] = tuple(CoreSecret)
    granted: frozenset[str] = frozenset()
    ops_token: bool = False
    named: Mapping[str, SecretPlace] = field(default_factory=dict)

    @classmethod
    def by(cls, settings: HostSettings | None) -> "WantedSecrets":
        """Return what settings want; without any, what every host does."""
        if settings is None:
            return cls()
        return cls(
            settings.secrets,
            settings.api.secret_names,
            settings.secret_names,
            not settings.ops.is_private,
            settings.secret_places,
        )


class Granted(Mapping[str, str]):
    """Secrets that config grants to a tutor and its engines, each in the open as last seen."""

    def __init__(self, kept: SecretCache, names: Iterable[str]) -> None:
        self._kept = kept
        self._names = sorted(names)

    def __getitem__(self, name: str) -> str:
        """Return one."""
        if name not in self._names:
            raise KeyError(name)
        return self._kept.seen(name).current.get_secret_value()

    def __iter__(self) -> Iterator[str]:
        """Name them."""
        return iter(self._names)

    def __len__(self) -> int:
        """Count them."""
        return len(self._names)


@dataclass(frozen=True, slots=True, repr=False)
class LedgerSecrets:
    """The ledger's secrets, unprintable.

    Attributes:
        keys: What learners' data is encrypted with, the key before it behind it; none keeps data
            as it is, in development.
        url: The Postgres that it is in, with its password; None: it is in a file.
    """

    keys: tuple[Sealed, ...] = ()
    url: Sealed | None = None

    def open_keys(self) -> list[str]:
        """Return the keys in the open."""
        return [key.get_secret_value() for key in self.keys]

    def open_url(self) -> str | None:
        """Return the URL in the open."""
        return None if self.url is None else self.url.get_secret_value()


@dataclass(frozen=True, slots=True, repr=False)
class HostSecrets:
    """The secrets of the host process. Unprintable; pickling or copying one is refused.

    Attributes:
        kept: All that may be rotated while the host runs: the core's, LiveKit's, the ledger's
            key, the ops address's token and those that config grants.
        ledger_url: The Postgres that the ledger is in. Read at the start alone.
        granted: The names of what config grants to engines and tutors.
        advice: What of them production would refuse, where this is staging.
    """

    kept: SecretCache
    ledger_url: Sealed | None = None
    granted: frozenset[str] = frozenset()
    advice: tuple[Problem, ...] = ()

    @property
    def ledger(self) -> LedgerSecrets:
        """The ledger's secrets as they were last seen."""
        return LedgerSecrets(self.kept.values("LEDGER_KEY"), self.ledger_url)

    def livekit(self) -> LiveKitKey:
        """Return LiveKit's key as it was last seen."""
        key, secret = map(self.kept.seen, _LIVEKIT)
        return LiveKitKey(key.current, secret.current)

    def livekit_keys(self) -> tuple[LiveKitKey, ...]:
        """Return every key that LiveKit may be signing with, while one is being rotated too."""
        pairs = product(*(self.kept.seen(name).values() for name in _LIVEKIT))
        return tuple(LiveKitKey(*pair) for pair in pairs)

    def ops_tokens(self) -> tuple[Sealed, ...]:
        """Return the tokens that open the ops address; none where it asks for none."""
        return self.kept.values("OPS_TOKEN")

    def including(self, later: "HostSecrets") -> "HostSecrets":
        """Return these secrets with what a later reading grants beside them."""
        for name in sorted(later.granted - self.granted):
            self.kept.keep(name, later.kept.seen(name))
        return replace(self, granted=self.granted | later.granted)

    def grant(self, names: Iterable[str]) -> Granted:
        """Return the named secrets, for a tutor's jobs.

        Raises:
            KeyError: If config grants no such secret to anybody.
        """
        if stray := set(names) - self.granted:
            raise KeyError(*stray)
        return Granted(self.kept, names)


EVERY_HOST: Final = WantedSecrets()


def read_secrets(
    config: Path, environ: Mapping[str, str], wanted: WantedSecrets = EVERY_HOST
) -> HostSecrets:
    """Read the host's secrets, and those that config grants to engines and tutors.

    The shared secret is that of the environment (`PROD_AGENT_SECRET` in production), or
    `SHARED_SECRET`. This waits for the place that they are in.

    Raises:
        ConfigError: With every secret that is missing, cannot be used or, in production, is too
            short; or the place cannot be reached.
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
    strict = list(_in_production(found, there, source, shared))
    if environment is Environment.PRODUCTION:
        problems += strict
    elif "LEDGER_URL" in found:
        problems += postgres_problems(_open(found["LEDGER_URL"]), in_production=False)
    if problems:
        raise ConfigError(problems)
    return HostSecrets(
        kept=_keep(source, variables, found, wanted),
        ledger_url=found["LEDGER_URL"].current if "LEDGER_URL" in found else None,
        granted=wanted.granted,
        advice=tuple(strict) if environment is Environment.STAGING else (),
    )


def _in_production(
    found: Mapping[str, Secret], there: Collection[str], source: SecretsSource, shared: str
) -> Iterator[Problem]:
    """Find what production refuses, and staging warns of."""
    if "LEDGER_KEY" not in there:
        yield _missing("LEDGER_KEY", source)
    yield from _short(found, (shared, "LIVEKIT_API_SECRET", "LEDGER_KEY", "OPS_TOKEN"))
    if "LEDGER_URL" in found:
        yield from postgres_problems(_open(found["LEDGER_URL"]), in_production=True)


def _open(secret: Secret) -> str:
    return secret.current.get_secret_value()


def _keep(
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
    # The environment that was handed over never changes.
    interval = math.inf if isinstance(source, EnvironmentSecrets) else wanted.place.interval
    return SecretCache(source, variables, secrets, SystemClock(), interval)


def read_ledger_secrets(
    config: Path, environ: Mapping[str, str], settings: SecretsSettings
) -> LedgerSecrets:
    """Read the ledger's secrets.

    Raises:
        ConfigError: The place that secrets are in cannot be reached, or one cannot be used.
    """
    source = open_source(settings, read_environ(config, environ))
    found, unusable = _look_up(source, _LEDGER, settings)
    if unusable:
        raise ConfigError(unusable)
    return _ledger_secrets(found)


def misplaced_secret(place: Place) -> str | None:
    """Return what to do about a key that nobody knows and that is called like a secret."""
    names = (str(place[-1]).upper(), "_".join(map(str, place)).upper())
    secret = next((name for name in names if name in HOST_SECRETS), None)
    return f"remove it, and set {secret} where the secrets are" if secret else None


def _ledger_secrets(found: Mapping[str, Secret]) -> LedgerSecrets:
    key, url = (found.get(name) for name in _LEDGER)
    return LedgerSecrets(key.values() if key else (), url.current if url else None)


def _look_up(
    source: SecretsSource, variables: Iterable[str], settings: SecretsSettings
) -> tuple[dict[str, Secret], list[Problem]]:
    """Look secrets up; gives those that are there, and what is wrong with others."""
    found, problems = {}, []
    for variable in dict.fromkeys(variables):
        try:
            if secret := look_up(source, variable):
                found[variable] = secret
        except UnusableSecretError as error:
            problems.append(_unusable(error, source))
        except SecretsError as error:
            where, hint = f"secrets: from: {settings.place}", "hint it there, or say another place"
            raise ConfigError([Problem(where, str(error), hint)]) from None
    return found, problems


def _unusable(error: UnusableSecretError, source: SecretsSource) -> Problem:
    given = isinstance(source, EnvironmentSecrets)
    what = error.what if given else f"{error.what}, as it is in {source.place}"
    return Problem(error.variable, what, error.hint)


def _missing(name: str, source: SecretsSource, user: str | None = None) -> Problem:
    """Return the problem of a missing secret, with the setting that names it."""
    named = f", and {user} names it" if user else ""
    if isinstance(source, EnvironmentSecrets):
        hint = "set this environment variable to the secret's value"
        return Problem(name, f"is not set{named}", hint)
    return Problem(name, f"is not in {source.place}{named}", "put the secret there under this name")


def _user(config: Path, environ: Mapping[str, str], place: SecretPlace) -> str:
    tutor, keys = place
    sources = read_sources(config, environ)
    return sources.where_tutor(tutor, *keys) if tutor else sources.host.where(keys)


def _short(found: Mapping[str, Secret], names: Iterable[str]) -> Iterator[Problem]:
    for name in names:
        if name in found and len(_open(found[name]).encode()) < _LONG:
            hint = f"use a secret of {_LONG} bytes or more"
            yield Problem(name, "is too short for production", hint)
