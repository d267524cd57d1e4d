"""Client of the Loqua API: tokens, calls, caching, degradation.

::

    api            the facade: lease, context, progress, records, health
    ├── user_tokens    exchange, share, refresh ahead, forget     ── tokens (pure), ephemeral
    ├── cache          one fetch per context, three lifetimes     ── single_flight
    ├── degradation    full → cache → basic → mock, with subscribers
    └── client         one method per endpoint; after a 401, one retry with another JWT
        ├── wire       validation of requests and responses
        └── calls      one call: deadline, then retry → breaker → limits → transport (httpx)
            └── verdict    whether an error response comes from the API itself (pure)
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
