"""The Loqua API of a script: the development API, called in memory by the host's own client.

Tokens are signed and encrypted as the API does it, and decrypted as the host does it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final

import httpx
from pydantic import SecretStr

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import SessionRecord
from loqua_host.core import CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.core.runtime import Runtime
from loqua_host.core.secrets import CoreSecret
from loqua_host.dev.api import DevApiSettings, RegisteredLearner, create_app
from loqua_host.dev.api.calls import DevApi
from loqua_host.dev.api.faults import Error, WrongCiphertext
from loqua_host.dev.api.store import Arrival

from .virtual_time import VirtualClock

__all__ = ["ScriptedApi", "calls_in", "outage", "records_in", "registered"]

CALLS: Final = {
    "exchanges": "user-token",
    "contexts": "context",
    "progress": "progress",
    "sessions": "sessions",
}
"""The API's own names of the calls that a lesson makes; health checks are the host's."""


class ScriptedApi:
    """A Loqua API in memory that fails for as long as a script says.

    Args:
        clock: The time by which its tokens expire.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._settings = DevApiSettings(
            shared_secret=SecretStr("the script's shared secret"),
            livekit_url="ws://livekit",
            livekit_api_key="key",
            livekit_api_secret=SecretStr("secret"),
            learners={},
        )
        self._app = create_app(self._settings, clock=clock.now, chance=Random(0).random)  # noqa: S311  # no secret
        self._api: DevApi = self._app.state.api
        self._outages = 0

    def register(self, user_id: str, context: LearnerContext) -> None:
        """Add a learner to the API."""
        self._api.store.register(user_id, registered(context))

    @asynccontextmanager
    async def client(self, settings: CoreSettings, agent_id: str) -> AsyncIterator[LoquaApi]:
        """Yield the client of a host, which calls this API.

        Args:
            settings: The section `api:` of config/host.yaml.
            agent_id: The agent that the host authenticates as.
        """
        secrets = EnvironmentSecrets(
            {
                CoreSecret.AGENT_JWT_TOKEN: self._settings.mint_agent_jwt(
                    agent_id, clock=self._clock.now
                ),
                CoreSecret.SHARED_SECRET: self._settings.shared_secret.get_secret_value(),
            }
        )
        runtime = Runtime(clock=self._clock, random=Random(0))  # noqa: S311  # jitter alone
        transport = httpx.ASGITransport(self._app)
        async with LoquaApi.open(settings, secrets, runtime=runtime, transport=transport) as api:
            yield api

    def fail(self, status: int, seconds: float) -> None:
        """Fail from now on, for so many seconds."""
        self._outages += 1
        self._api.active_faults.replace((outage(status),))
        asyncio.get_running_loop().call_later(seconds, self._recover, self._outages)

    def encrypt_with_another_secret(self) -> None:
        """Encrypt learners' tokens from now on so that no host can decrypt them."""
        self._api.active_faults.replace((WrongCiphertext(),))

    def _recover(self, number: int) -> None:
        """End an outage, unless another one has begun."""
        if number == self._outages:
            self._api.active_faults.replace(())

    @property
    def calls(self) -> tuple[str, ...]:
        """The successful calls, in order."""
        return calls_in(self._api.store.arrivals())

    @property
    def records(self) -> dict[str, SessionRecord]:
        """The record that has arrived last, by session id."""
        return records_in(self._api.store.arrivals())


def outage(status: int) -> Error:
    """Return the fault of an API that answers with a status alone."""
    return Error(status=status, code="SERVICE_UNAVAILABLE")


def registered(context: LearnerContext) -> RegisteredLearner:
    """Return a learner who has a context in the API."""
    return RegisteredLearner.model_validate(context.model_dump())


def calls_in(arrivals: Iterable[Arrival]) -> tuple[str, ...]:
    """Return the calls that a lesson makes, in order, by the API's names."""
    return tuple(CALLS[one.kind] for one in arrivals if one.kind in CALLS)


def records_in(arrivals: Iterable[Arrival]) -> dict[str, SessionRecord]:
    """Return the record that has arrived last, by session id."""
    records = (_record(one.payload) for one in arrivals if one.kind == "sessions")
    return {record.session_id: record for record in records}


def _record(payload: dict[str, Any]) -> SessionRecord:
    names = {"sessionId": "session_id"}
    fields = {names.get(name, name): value for name, value in payload.items() if name != "userId"}
    return SessionRecord.model_validate(fields)
