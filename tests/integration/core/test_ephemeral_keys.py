"""Ephemeral keys with APIs that support them and APIs that do not, for each setting."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from structlog.testing import capture_logs

from loqua_host.core import Caller, CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.core.ephemeral import HEADER, SCHEME
from loqua_host.dev.api import DevApiSettings
from loqua_host.dev.api.app import create_app
from loqua_host.errors import TokenError

CALLER = Caller("user_ana", "room-1", "loqua-tutor")


def new_settings(*, takes_keys: bool) -> DevApiSettings:
    """Return an API that takes agents' keys, or does not know of them."""
    return DevApiSettings(
        shared_secret=SecretStr(secrets.token_hex(16)),
        livekit_url="ws://127.0.0.1:7880",
        livekit_api_key="devkey",
        livekit_api_secret=SecretStr(secrets.token_hex(32)),
        ephemeral_keys=takes_keys,
    )


@asynccontextmanager
async def opened(
    settings: DevApiSettings,
    ephemeral_keys: str,
    app: FastAPI | None = None,
    shared_secret: str | None = None,
) -> AsyncIterator[LoquaApi]:
    """Open the core towards an API."""
    shared = settings.shared_secret.get_secret_value() if shared_secret is None else shared_secret
    environ = {
        "AGENT_JWT_TOKEN": settings.mint_agent_jwt(CALLER.agent_id),
        "SHARED_SECRET": shared,
    }
    core = CoreSettings.model_validate(
        {"api_base_url": "http://127.0.0.1:9", "ephemeral_keys": ephemeral_keys}
    )
    transport = httpx.ASGITransport(app or create_app(settings))
    async with LoquaApi.open(core, EnvironmentSecrets(environ), transport=transport) as api:
        yield api


@pytest.mark.parametrize(
    ("ephemeral_keys", "takes_keys", "sealed"),
    [
        ("off", True, False),
        ("off", False, False),
        ("offered", True, True),
        ("offered", False, False),
        ("required", True, True),
    ],
)
async def test_a_token_is_sealed_where_both_sides_know_how(
    ephemeral_keys: str, *, takes_keys: bool, sealed: bool
) -> None:
    """Elsewhere it is encrypted with the shared secret; the log says which."""
    with capture_logs() as logs:
        async with opened(new_settings(takes_keys=takes_keys), ephemeral_keys) as api:
            await api.lease(CALLER)
            await api.check_health(CALLER)
    [exchanged] = [line for line in logs if line["event"] == "token.exchanged"]
    assert exchanged["sealed"] is sealed


async def test_a_required_key_that_is_not_taken_refuses_the_lesson() -> None:
    """The shared secret would open the answer, and is not asked to."""
    async with opened(new_settings(takes_keys=False), "required") as api:
        with pytest.raises(TokenError, match=r"not_sealed: .*api.ephemeral_keys") as refused:
            await api.lease(CALLER)
    assert refused.value.cause == "not_sealed"


async def test_a_sealed_token_needs_no_shared_secret() -> None:
    """None need be there; whoever has the API's opens nothing."""
    async with opened(new_settings(takes_keys=True), "required", shared_secret="") as api:
        await api.lease(CALLER)
        await api.check_health(CALLER)


async def test_each_exchange_has_a_key_of_its_own() -> None:
    """Also a refresh's."""
    settings, offered = new_settings(takes_keys=True), []
    app = create_app(settings)

    @app.middleware("http")
    async def note(request, call_next):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # Starlette's
        offered.append(request.headers.get(HEADER))
        return await call_next(request)

    async with opened(settings, "offered", app) as api:
        for _ in range(3):
            await api.lease(CALLER)
            api.release(CALLER)
    assert len({*offered}) == 3
    assert None not in offered


@pytest.mark.parametrize("key", ["A", "A" * 42, "A" * 44, "!" * 43, "A" * 43])
async def test_what_is_no_key_is_refused_by_the_api(key: str) -> None:
    """The last one is a point that gives everybody the same secret."""
    settings = new_settings(takes_keys=True)
    headers = {
        "Authorization": f"Bearer {settings.mint_agent_jwt(CALLER.agent_id)}",
        "X-Agent-ID": CALLER.agent_id,
        HEADER: key,
    }
    body = {"room_name": "r", "user_id": "user_ana", "agent_id": CALLER.agent_id}
    transport = httpx.ASGITransport(create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        answer = await http.post("/api/v1/agent/user-token", json=body, headers=headers)
    assert answer.status_code == 400
    assert HEADER in answer.json()["error"]["message"]


async def test_an_api_that_takes_no_keys_answers_as_the_guide_says() -> None:
    """Not a field more."""
    settings = new_settings(takes_keys=False)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(settings)), base_url="http://api"
    ) as http:
        answer = await http.post(
            "/api/v1/agent/user-token",
            json={"room_name": "r", "user_id": "user_ana", "agent_id": CALLER.agent_id},
            headers={
                "Authorization": f"Bearer {settings.mint_agent_jwt(CALLER.agent_id)}",
                "X-Agent-ID": CALLER.agent_id,
                HEADER: "A" * 43,
            },
        )
    fields = ["encrypted_token", "expires_in", "issued_at", "issued_to", "room_name", "user_id"]
    assert sorted(answer.json()) == fields
    assert SCHEME not in answer.text
