"""The auth and API core: acts for learners towards the Loqua API, whatever the API does.

::

    api            the one object the host holds: lease, context, progress, records, health
    ├── user_tokens    exchange, share, refresh ahead, forget     ── tokens (pure), ephemeral
    ├── cache          one fetch of a context, three lives        ── flights (single flight)
    ├── degradation    full → cache → basic → mock, and who is told
    └── client         one method per endpoint; a 401 means one other JWT, one repeat
        ├── wire       what goes out is checked, what comes in is doubted
        └── calls      one call: deadline, then retry → breaker → limits → httpx
"""

from loqua_host.core.api import LoquaApi
from loqua_host.core.caller import Caller, Loaded
from loqua_host.core.events import Event, Observer
from loqua_host.core.secrets import EnvironmentSecrets, SecretsPort
from loqua_host.core.settings import CoreSettings

__all__ = [
    "Caller",
    "CoreSettings",
    "EnvironmentSecrets",
    "Event",
    "Loaded",
    "LoquaApi",
    "Observer",
    "SecretsPort",
]
