"""Where secrets come from: a port for the core, and the places they are looked up at.

::

    port            what the core asks: current and previous value, fresh when in doubt
    ├── kept            keeps them, looks for changes, outlives an outage of the place
    ├── lookup          what every place is asked by: errors named, values fit for use
    └── source          the place that config names
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
from .source import LENT, open_source

__all__ = [
    "JWT",
    "LENT",
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
