"""The Loqua API for agents: one method per endpoint."""

from random import Random

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import Progress, SessionRecord

from . import wire
from .caller import Caller
from .calls import Bearer, Calls
from .wire import Status, UserTokenAnswer

__all__ = ["Client"]


class Client:
    """Makes each of the guide's calls.

    Every method raises RefusedError where the API says no, UnreachableError where it gives no
    usable answer in time.
    """

    def __init__(self, calls: Calls, random: Random, *, honours_keys: bool) -> None:
        self._calls = calls
        self._random = random
        self._honours_keys = honours_keys

    async def user_token(
        self, caller: Caller, bearer: Bearer, public_key: str | None
    ) -> tuple[UserTokenAnswer, str | None]:
        """Return the user's encrypted token and the answer's Date header."""
        return await self._calls.send(wire.user_token(caller, self._key(), public_key), bearer)

    async def context(self, caller: Caller, bearer: Bearer) -> LearnerContext:
        """Return what the API remembers of the learner."""
        return await self._calls.send(wire.context(caller), bearer)

    async def progress(
        self,
        caller: Caller,
        bearer: Bearer,
        session_id: str,
        status: Status,
        progress: Progress,
        key: str,
    ) -> None:
        """Update the learner's progress."""
        await self._calls.send(wire.progress(caller, session_id, status, progress, key), bearer)

    async def session(
        self, caller: Caller, bearer: Bearer, record: SessionRecord, key: str
    ) -> None:
        """Create the record of a lesson."""
        request = wire.session(caller, record, key, repeatable=self._honours_keys)
        await self._calls.send(request, bearer)

    async def health(self, caller: Caller, bearer: Bearer) -> frozenset[str]:
        """Return the agent's permissions."""
        return await self._calls.send(wire.health(caller, self._key()), bearer)

    def _key(self) -> str:
        return f"{self._random.getrandbits(128):032x}"
