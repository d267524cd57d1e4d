"""Client of the Loqua API: tokens, calls, caching, degradation.

::

    api            the facade: lease, context, progress, records, health
    ├── user_tokens    exchange, share, refresh ahead, forget     ── tokens (pure), ephemeral
    ├── cache          one fetch per context, three lifetimes     ── single_flight
    ├── degradation    full → cache → basic → mock, with subscribers
    ├── wire           validation of requests and responses
    └── calls          deadline, another JWT after a 401, retry → breaker → limits → transport
        └── verdict        whether an error response comes from the API itself (pure)
"""

from .api import LoquaApi
from .caller import Caller, Loaded
from .secrets import EnvironmentSecrets, SecretsPort
from .settings import CoreSettings

__all__ = [
    "Caller",
    "CoreSettings",
    "EnvironmentSecrets",
    "Loaded",
    "LoquaApi",
    "SecretsPort",
]
