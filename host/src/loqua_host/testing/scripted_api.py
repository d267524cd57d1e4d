"""The Loqua API of a script: it takes everything, except while the script has it fail."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import Mode, SessionRecord
from loqua_host.core import Caller, Loaded
from loqua_host.errors import ApiError, UnreachableError

from .fake_loqua import FakeLoqua

__all__ = ["ScriptedApi"]

CALLS: Final = {
    "lease": "user-token",
    "context": "context",
    "progress": "progress",
    "sessions": "sessions",
}
"""The API's own names of the calls that a lesson makes; health checks are the host's."""


@dataclass
class ScriptedApi(FakeLoqua):
    """A Loqua API in memory that fails for as long as a script says.

    Attributes:
        calls: The successful calls, in order.
        status: The HTTP status of its failure.
        failing_until: Until when it fails, in the loop's seconds.
    """

    calls: list[str] = field(default_factory=list)
    status: int = 503
    failing_until: float = 0.0

    def __post_init__(self) -> None:
        """Fail when the script says so."""
        self.failing = self._failure

    def fail(self, status: int, seconds: float) -> None:
        """Fail from now on, for so many seconds."""
        self.status = status
        self.failing_until = asyncio.get_running_loop().time() + seconds

    def _failure(self, method: str, _caller: Caller) -> ApiError | None:
        if asyncio.get_running_loop().time() < self.failing_until:
            # The answer says that the call was not processed: nothing may have arrived twice.
            return UnreachableError(method, f"HTTP {self.status}", status=self.status, sent=False)
        if method in CALLS:
            self.calls.append(CALLS[method])
        return None

    async def lease_patiently(self, caller: Caller) -> None:
        """Lease as soon as it no longer fails."""
        await asyncio.sleep(self.failing_until - asyncio.get_running_loop().time())
        await self.lease(caller)

    async def context(self, caller: Caller) -> Loaded:
        """Return what it remembers, or nothing while it fails."""
        try:
            return await super().context(caller)
        except UnreachableError:
            return Loaded(LearnerContext(), Mode.BASIC)

    def record_of(self, session_id: str) -> SessionRecord | None:
        """Return the record of a session that has arrived last."""
        mine = (one for one in reversed(self.records) if one.session_id == session_id)
        return next(mine, None)
