"""Where secrets come from: a port for the core, and the places they are looked up at.

::

    port            what the core asks: current and previous value, fresh when in doubt
    ├── kept            keeps them, looks for changes, outlives an outage of the place
    └── source          the place that config names
        └── environment · files · aws · azure · vault
"""

from .environment import EnvironmentSecrets
from .kept import KeptSecrets
from .port import (
    Sealed,
    Secret,
    SecretName,
    SecretsPort,
    SecretsSource,
)
from .settings import SecretsSettings
from .source import LENT, open_source

__all__ = [
    "LENT",
    "EnvironmentSecrets",
    "KeptSecrets",
    "Sealed",
    "Secret",
    "SecretName",
    "SecretsPort",
    "SecretsSettings",
    "SecretsSource",
    "open_source",
]
