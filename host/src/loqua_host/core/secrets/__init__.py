"""Secrets: a cache for the core, and the sources that it reads.

::

    port            the interface: current and previous value
    ├── secret_cache    caches secrets, polls for rotations, survives outages of the source
    ├── lookup          reads from any source, with typed errors and validated values
    └── source          the source that the configuration names
        └── environment · files · aws · azure · vault
"""

from .environment import EnvironmentSecrets
from .lookup import JWT, look_up
from .port import (
    CoreSecret,
    Sealed,
    Secret,
    SecretsPort,
    SecretsSource,
)
from .secret_cache import SecretCache
from .settings import Address, SecretsSettings
from .source import VAULT_LOGIN_PREFIXES, open_source

__all__ = [
    "JWT",
    "VAULT_LOGIN_PREFIXES",
    "Address",
    "CoreSecret",
    "EnvironmentSecrets",
    "Sealed",
    "Secret",
    "SecretCache",
    "SecretsPort",
    "SecretsSettings",
    "SecretsSource",
    "look_up",
    "open_source",
]
