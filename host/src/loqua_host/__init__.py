"""The public API for authors of tutors.

Everything else in this package is private.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .livekit_inference import import_at_first_use

if TYPE_CHECKING:
    from .contract import *  # noqa: F403  # they are listed there
else:

    def __getattr__(name: str) -> object:
        """Import the API when it is first used, as `python -m loqua_host` starts without it."""
        contract = import_module("loqua_host.contract")
        if name == "__all__" or name in contract.__all__:
            return getattr(contract, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


import_at_first_use()
