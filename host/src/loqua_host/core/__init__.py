"""The auth and API core: acts for learners towards the Loqua API, whatever the API does.

::

    api            the one object the host holds: lease, context, progress, records, health
    ├── user_tokens    exchange, share, refresh, forget       ── tokens (pure), ephemeral
    ├── cache          learner contexts: fresh, then stale    ── single_flight
    ├── degradation    full → cache → basic → mock, and its listeners
    ├── wire           requests and responses, validated
    └── calls          deadline → reauth → retries → breaker → limits → transport (httpx)
        └── verdict    whether an error response comes from the API (pure)
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
