"""The auth and API core: acts for learners towards the Loqua API, whatever the API does.

::

    api            the one object the host holds: lease, context, progress, records, health
    ├── user_tokens    exchange, share, refresh ahead, forget     ── tokens (pure), ephemeral
    ├── cache          one fetch of a context, three lives        ── single_flight
    ├── degradation    full → cache → basic → mock, and who is told
    └── client         one method per endpoint; a 401 means one other JWT, one repeat
        ├── wire       what goes out is checked, what comes in is doubted
        └── calls      one call: deadline, then retry → breaker → limits → transport (httpx)
            └── verdict    whether an error answer is the API's word (pure)
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
