"""Secrets are rotated while twenty learners exchange tokens: not one exchange fails."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from tests.integration.secrets.conftest import Place

from loqua_host.core import Caller, CoreSettings, LoquaApi
from loqua_host.core.clock import SystemClock
from loqua_host.core.events import Events
from loqua_host.core.secrets import KeptSecrets, SecretName
from loqua_host.dev.api import DevApiSettings
from loqua_host.dev.api.app import create_app
from loqua_host.errors import ApiError

pytestmark = pytest.mark.integration

AGENT = "loqua-test"
LEARNERS = 20
EXCHANGES = 12
"""By each learner, with a rotation after a third and another one after two thirds."""


def new_settings() -> DevApiSettings:
    """Give an API with secrets of its own."""
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


async def keep(place: Place) -> KeptSecrets:
    """Keep a place's secrets; no look-up comes but for those that the API makes necessary."""
    variables = {name: name.value for name in SecretName}
    found = {name: await asyncio.to_thread(place.source.fetch, name.value) for name in SecretName}
    first = {name: secret for name, secret in found.items() if secret}
    return KeptSecrets(place.source, variables, first, SystemClock(), Events(), 3600)


async def exchange_all(api: LoquaApi, after: Callable[[], Awaitable[None]]) -> list[str]:
    """Have all learners exchange; gives what went wrong."""
    failures: list[str] = []

    async def exchange(number: int) -> None:
        caller = Caller("user_ana", f"room-{number}", AGENT)
        for _ in range(EXCHANGES):
            try:
                await api.lease(caller)
                await api.check_health(caller)
            except ApiError as error:
                failures.append(str(error))
            api.release(caller)
            await after()

    await asyncio.gather(*(exchange(number) for number in range(LEARNERS)))
    return failures


async def test_a_rotation_fails_no_exchange(place: Place) -> None:
    """Of the shared secret and of the agent's JWT, in every place, twice."""
    app = create_app(new_settings())
    await rotate(app, place)
    rotating = asyncio.Lock()
    done = 0

    async def count() -> None:
        nonlocal done
        done += 1
        if done in (LEARNERS * EXCHANGES // 3, LEARNERS * EXCHANGES * 2 // 3):
            async with rotating:  # where exchanges are fast, the second would overtake the first
                await rotate(app, place)

    settings = CoreSettings.model_validate(
        {"api_base_url": "http://127.0.0.1:9", "rate_limit": 10_000, "retries": 0}
    )
    transport = httpx.ASGITransport(app)
    async with LoquaApi.open(settings, await keep(place), transport=transport) as api:
        failures = await exchange_all(api, count)
    assert failures == []
    assert done == LEARNERS * EXCHANGES
