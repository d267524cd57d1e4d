"""A Loqua API for development: the guide's endpoints, learners with histories, faults on demand."""

from loqua_host.dev.api.app import create_app
from loqua_host.dev.api.faults import AnyFault
from loqua_host.dev.api.learners import INVENTED, Learner
from loqua_host.dev.api.server import serve
from loqua_host.dev.api.settings import DevApiSettings

__all__ = ["INVENTED", "AnyFault", "DevApiSettings", "Learner", "create_app", "serve"]
