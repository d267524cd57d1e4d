"""Rotation of secrets while twenty learners exchange tokens, without a failure."""

import asyncio
import secrets
from dataclasses import replace

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from tests.integration.secrets.conftest import Place

from loqua_host.core import Caller, CoreSettings, LoquaApi
from loqua_host.core.clock import SystemClock
from loqua_host.core.secrets import CoreSecret, SecretCache
from loqua_host.dev.api import DevApiSettings
from loqua_host.dev.api.app import create_app
from loqua_host.errors import ApiError
from loqua_host.system.tasks import background

AGENT = "loqua-test"
LEARNERS = 20
EXCHANGES = 4
"""By each learner before the first rotation and after each, so that all have used it."""
ROTATIONS = 2


def new_settings() -> DevApiSettings:
    """Return an API with secrets of its own."""
    return DevApiSettings(
        shared_secret=SecretStr(secrets.token_hex(16)),
        livekit_url="ws://127.0.0.1:7880",
        livekit_api_key="devkey",
        livekit_api_secret=SecretStr(secrets.token_hex(32)),
    )


async def rotate(app: FastAPI, place: Place) -> None:
    """Put the new secrets where the host looks, then have the API use them and no others."""
    settings = new_settings()
    jwt, shared = settings.mint_agent_jwt(AGENT), settings.shared_secret.get_secret_value()
    await asyncio.to_thread(place.put, "AGENT_JWT_TOKEN", jwt)
    await asyncio.to_thread(place.put, "SHARED_SECRET", shared)
    app.state.api = replace(app.state.api, settings=settings)


async def keep(place: Place) -> SecretCache:
    """Keep a place's secrets; no look-up comes but for those that the API makes necessary."""
    names = (CoreSecret.AGENT_JWT_TOKEN, CoreSecret.SHARED_SECRET)
    variables = {name: name.value for name in names}
    found = {name: await asyncio.to_thread(place.source.fetch, name.value) for name in names}
    first = {name: secret for name, secret in found.items() if secret}
    return SecretCache(place.source, variables, first, SystemClock(), 3600)


class ReturningLearner:
    """A learner who keeps leaving and returning, with a token exchange each time."""

    def __init__(self, api: LoquaApi, number: int) -> None:
        self._api = api
        self._caller = Caller("user_ana", f"room-{number}", AGENT)
        self._came = asyncio.Condition()
        self.exchanges = 0
        self.failures: list[str] = []

    async def come_and_go(self) -> None:
        """Exchange until cancelled."""
        while True:
            try:
                await self._api.lease(self._caller)
                await self._api.check_health(self._caller)
            except ApiError as error:
                self.failures.append(str(error))
            self._api.release(self._caller)
            async with self._came:
                self.exchanges += 1
                self._came.notify_all()

    async def come_again(self) -> None:
        """Return after EXCHANGES more; all but the first have then begun after this call."""
        wanted = self.exchanges + EXCHANGES
        async with self._came:
            await self._came.wait_for(lambda: self.exchanges >= wanted)


async def come_again(learners: list[ReturningLearner]) -> None:
    """Wait until every learner has exchanged some more tokens."""
    await asyncio.gather(*(learner.come_again() for learner in learners))


async def test_a_rotation_fails_no_exchange(place: Place) -> None:
    """Of the shared secret and of the agent's JWT, in every place, twice."""
    app = create_app(new_settings())
    await rotate(app, place)
    settings = CoreSettings.model_validate(
        {"api_base_url": "http://127.0.0.1:9", "rate_limit": 10_000, "retries": 0}
    )
    transport = httpx.ASGITransport(app)
    async with LoquaApi.open(settings, await keep(place), transport=transport) as api:
        learners = [ReturningLearner(api, number) for number in range(LEARNERS)]
        async with background() as tasks:
            for learner in learners:
                tasks.create_task(learner.come_and_go())
            await come_again(learners)
            for _ in range(ROTATIONS):
                await rotate(app, place)
                await come_again(learners)
    assert [failure for learner in learners for failure in learner.failures] == []
