"""A Loqua API for development: the guide's endpoints, learners with history, injected faults."""

from .app import create_app
from .faults import AnyFault
from .learners import INVENTED, RegisteredLearner
from .server import serve
from .settings import DevApiSettings

__all__ = ["INVENTED", "AnyFault", "DevApiSettings", "RegisteredLearner", "create_app", "serve"]
