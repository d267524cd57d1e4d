"""Rows that outlive their learner's token, against the dev API through the real core."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import httpx
import pytest
import structlog
from fastapi import FastAPI
from pydantic import SecretStr

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.core import CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.core.clock import SystemClock
from loqua_host.dev.api import DevApiSettings, create_app
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.sqlite import SqliteDatabase

SHARED_SECRET = "a shared secret"


@pytest.fixture
def settings() -> DevApiSettings:
    """Give an API whose learners' tokens live for an hour."""
    return DevApiSettings(
        shared_secret=SecretStr(SHARED_SECRET),
        livekit_url="ws://127.0.0.1:7880",
        livekit_api_key="devkey",
        livekit_api_secret=SecretStr("a secret of the LiveKit server, thirty-two or more"),
    )


@pytest.fixture
def app(settings: DevApiSettings) -> FastAPI:
    """Give the API."""
    return create_app(settings)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """Give a ledger as a host finds it that has just started: nobody holds a token."""
    async with Ledger.open(SqliteDatabase(tmp_path / "ledger.db"), keys=["k" * 32]) as ledger:
        row = LessonRow(
            id="lesson",
            session_id="",
            visit="sess_1",
            user_id="user_ana",
            room="room",
            tutor="conversation",
            agent_id="loqua-tutor",
            opened_at=SystemClock().now(),
        )
        row = await ledger.open_lesson(row, "")
        record = SessionRecord(
            session_id="sess_1", duration_minutes=1, overall_performance=Performance.GOOD
        )
        await ledger.close_lesson(row, row.opened_at, Kind.FAILED, Progress(), record)
        yield ledger


async def deliver(
    ledger: Ledger, transport: httpx.AsyncBaseTransport, jwt: str, access: str = "user"
) -> list[dict[str, object]]:
    """Deliver what the ledger owes, and give what was logged."""
    core = CoreSettings.model_validate(
        {"api_base_url": "http://api", "access": {"sessions": access}}
    )
    secrets = EnvironmentSecrets({"AGENT_JWT_TOKEN": jwt, "SHARED_SECRET": SHARED_SECRET})
    with structlog.testing.capture_logs() as logs:
        async with LoquaApi.open(core, secrets, transport=transport) as api:
            delivery = Delivery(ledger, api, clock=SystemClock())
            running = asyncio.create_task(delivery.run())
            await within(delivery.idle())
            running.cancel()
            await asyncio.wait([running])
    return [dict(log) for log in logs]


async def within(waiting: Awaitable[None]) -> None:
    """Wait, but not for ever."""
    async with asyncio.timeout(30):
        await waiting


async def test_a_row_without_a_token_gets_a_new_one(
    app: FastAPI, settings: DevApiSettings, ledger: Ledger
) -> None:
    """The learner left hours ago and the host was started anew: it asks for the token again."""
    jwt = settings.mint_agent_jwt("loqua-tutor")
    logs = await deliver(ledger, httpx.ASGITransport(app), jwt)
    assert [log["event"] for log in logs if "delivered" in str(log["event"])] == [
        "progress.delivered",
        "record.delivered",
    ]


async def test_a_learner_whom_the_api_no_longer_knows_makes_dead_letters(
    app: FastAPI, settings: DevApiSettings, ledger: Ledger
) -> None:
    """Each with its reason, an error in the log, and nothing is asked again."""
    app.state.api.store.forget("user_ana")
    jwt = settings.mint_agent_jwt("loqua-tutor")
    logs = await deliver(ledger, httpx.ASGITransport(app), jwt)
    dead = [log for log in logs if str(log["event"]).endswith(".dead")]
    assert [(log["event"], log["log_level"], log["status"]) for log in dead] == [
        ("progress.dead", "error", 404),
        ("record.dead", "error", 404),
    ]
    assert (await ledger.debts()).dead == 2


async def test_where_config_allows_the_agents_own_jwt_creates_the_record(ledger: Ledger) -> None:
    """The learner's token cannot be had any more, and the record needs none."""
    bearers = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/sessions"):
            bearers.append(request.headers["authorization"])
            return httpx.Response(200, json={"success": True})
        return httpx.Response(404, json={"error": {"code": "USER_NOT_FOUND"}})

    logs = await deliver(ledger, httpx.MockTransport(answer), "agents-own", "service")
    assert bearers == ["Bearer agents-own"]
    assert [log["event"] for log in logs if log.get("row")] == ["progress.dead", "record.delivered"]
