"""Rotation of secrets in a real vault during a lesson of a real host."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast
from uuid import uuid4

import httpx
import pytest
import yaml
from fastapi import FastAPI
from tests.integration.host.conftest import FRESH, PATIENCE, Deployment, DevApiClient, explicit
from tests.integration.secrets.conftest import Bao

from loqua_host.dev.api import DevApiSettings, server
from loqua_host.system.tasks import background

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKEN_SECONDS = 6
"""A token is exchanged anew at half of its life."""


def new_settings(deployment: Deployment, token_seconds: int = TOKEN_SECONDS) -> DevApiSettings:
    """Return an API of this LiveKit server with secrets of its own."""
    return DevApiSettings.model_validate(
        {
            "shared_secret": uuid4().hex,
            "livekit_url": deployment.livekit.url,
            "livekit_api_key": deployment.livekit.api_key,
            "livekit_api_secret": deployment.livekit.api_secret,
            "token_lifetime": token_seconds,
        }
    )


@asynccontextmanager
async def served(
    deployment: Deployment, token_seconds: int = TOKEN_SECONDS
) -> AsyncIterator[tuple[Deployment, FastAPI]]:
    """Serve an API whose secrets a test can change while it runs."""
    settings = new_settings(deployment, token_seconds)
    config = server._config(settings)
    ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with server.socket.create_server(("127.0.0.1", 0)) as listener:
        serving = server._Server(config, lambda: ready.set_result(None))
        async with background() as tasks:
            running = tasks.create_task(serving.serve([listener]))
            await ready
            url = server._base_url(listener)
            async with (
                httpx.AsyncClient(base_url=url, timeout=PATIENCE, limits=FRESH) as client,
                background() as followers,
            ):
                api = DevApiClient(settings, url, client)
                followers.create_task(api.follow())
                yield replace(deployment, api=api), cast("FastAPI", config.app)
            serving.should_exit = True
            await running


async def rotate(app: FastAPI, bao: Bao, deployment: Deployment) -> None:
    """Put new secrets into the vault, then have the API use them and no others.

    Learners' tokens are signed as before: those are the API's own affair.
    """
    old: DevApiSettings = app.state.api.settings
    new = new_settings(deployment).model_copy(
        update={"user_signing_secret": old.user_signing_secret}
    )
    await asyncio.to_thread(fill, bao, new)
    app.state.api = replace(app.state.api, settings=new)


def fill(bao: Bao, settings: DevApiSettings) -> None:
    """Put an API's secrets into the vault."""
    bao.put("AGENT_JWT_TOKEN", settings.mint_agent_jwt("loqua-test"))
    bao.put("DEV_AGENT_SECRET", settings.shared_secret.get_secret_value())


@contextmanager
def vault(port: int, settings: DevApiSettings, deployment: Deployment) -> Iterator[Bao]:
    """Run a vault that holds all secrets of a host."""
    bao = Bao(port)
    try:
        fill(bao, settings)
        bao.put("LIVEKIT_API_KEY", deployment.livekit.api_key)
        bao.put("LIVEKIT_API_SECRET", deployment.livekit.api_secret)
        yield bao
    finally:
        bao.stop()


def look_in(bao: Bao, directory: Path, deployment: Deployment) -> dict[str, str]:
    """Configure a host to have its secrets from the vault; return what it needs for that."""
    overlay = directory / "config" / "environments" / "development.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text(yaml.safe_dump({"secrets": {"from": "vault", "vault": {"url": bao.url}}}))
    token = bao.root.auth.token.create(ttl="1h")["auth"]["client_token"]
    secret = set(deployment.environ()) - {"AGENT_ID", "API_BASE_URL", "LIVEKIT_URL"}
    return {**dict.fromkeys(secret, ""), "VAULT_TOKEN": token}


async def test_a_rotation_in_a_vault_fails_no_exchange(
    deployment: Deployment, unused_tcp_port: int, tmp_path: Path
) -> None:
    """Of the shared secret and the agent's JWT, twice; the host has but the vault's token."""
    async with served(deployment) as (home, app), AsyncExitStack() as stack:
        before = home.api.settings
        bao = stack.enter_context(vault(unused_tcp_port, before, home))
        environ = look_in(bao, tmp_path, home)
        host = await stack.enter_async_context(
            home.host(tmp_path, explicit("rotated"), environ=environ)
        )
        learner = await stack.enter_async_context(home.visit(agent_name="rotated"))
        await host.log.until("progress.made", user_id=learner.user_id)
        for _ in range(2):
            refreshed = len(host.log.find("token.refreshed"))
            await rotate(app, bao, home)
            # One exchange may have been under way.
            await host.log.until("token.refreshed", count=refreshed + 2)
        await learner.leave()
        await home.api.until("sessions", learner.user_id)
        secrets = [it.shared_secret.get_secret_value() for it in (before, app.state.api.settings)]
    assert host.log.find("token.refresh_failed") == []
    assert host.log.find("lesson.refused") == []
    changed = host.log.find("secret.read", place="the vault", changed=True)
    assert {line["secret"] for line in changed} == {"AGENT_JWT_TOKEN", "SHARED_SECRET"}
    written = "\n".join(host.log.raw)
    assert [it for it in (*secrets, environ["VAULT_TOKEN"]) if it in written] == []
