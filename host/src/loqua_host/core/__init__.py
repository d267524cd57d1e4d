"""The auth and API core: acts for learners towards the Loqua API."""

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
