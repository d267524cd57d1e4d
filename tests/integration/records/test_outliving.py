"""Outbox entries older than their learner's token, against the dev API."""

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
from loqua_host.dev.api.faults import Error, LostAnswer
from loqua_host.observability.metrics import Instruments
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.metrics import DeliveryMetrics
from loqua_host.records.sqlite import SqliteDatabase

SHARED_SECRET = "a shared secret"


@pytest.fixture
def settings() -> DevApiSettings:
    """Return an API whose learners' tokens live for an hour."""
    return DevApiSettings(
        shared_secret=SecretStr(SHARED_SECRET),
        livekit_url="ws://127.0.0.1:7880",
        livekit_api_key="devkey",
        livekit_api_secret=SecretStr("a secret of the LiveKit server, thirty-two or more"),
        service_sessions=True,
        honour_idempotency=True,
    )


@pytest.fixture
def app(settings: DevApiSettings) -> FastAPI:
    """Return the API."""
    return create_app(settings)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """Yield a ledger as a host finds it that has just started: nobody holds a token."""
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
    ledger: Ledger,
    transport: httpx.AsyncBaseTransport,
    jwt: str,
    access: str = "user",
    *,
    honours_keys: bool = False,
) -> list[dict[str, object]]:
    """Deliver the outbox, and return the log."""
    core = CoreSettings.model_validate(
        {
            "api_base_url": "http://api",
            "access": {"sessions": access},
            "honours_idempotency_keys": honours_keys,
        }
    )
    secrets = EnvironmentSecrets({"AGENT_JWT_TOKEN": jwt, "SHARED_SECRET": SHARED_SECRET})
    with structlog.testing.capture_logs() as logs:
        async with LoquaApi.open(core, secrets, transport=transport) as api:
            delivery = Delivery(
                ledger, api, clock=SystemClock(), metrics=DeliveryMetrics(Instruments())
            )
            running = asyncio.create_task(delivery.run())
            await within(delivery.wait_idle())
            running.cancel()
            await asyncio.wait([running])
    return [dict(log) for log in logs]


class CuttableTransport(httpx.ASGITransport):
    """A connection that the API can cut."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        try:
            return await super().handle_async_request(request)
        except ConnectionResetError as error:
            raise httpx.ReadError(str(error)) from error


def sessions(app: FastAPI) -> list[object]:
    """Return the records that arrived."""
    return [one for one in app.state.api.store.arrivals() if one.kind == "sessions"]


async def within(waiting: Awaitable[None]) -> None:
    """Wait, but not for ever."""
    async with asyncio.timeout(30):
        await waiting


async def test_a_row_without_a_token_gets_a_new_one(
    app: FastAPI, settings: DevApiSettings, ledger: Ledger
) -> None:
    """The learner left hours ago and the host was started anew: it asks for the token again."""
    jwt = settings.mint_agent_jwt("loqua-tutor")
    logs = await deliver(ledger, CuttableTransport(app), jwt)
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
    logs = await deliver(ledger, CuttableTransport(app), jwt)
    dead = [log for log in logs if str(log["event"]).endswith(".dead")]
    assert [(log["event"], log["log_level"], log["status"]) for log in dead] == [
        ("progress.dead", "error", 404),
        ("record.dead", "error", 404),
    ]
    assert (await ledger.backlog()).dead == 2


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize(
    ("access", "taken"), [("user", False), ("user_then_service", True), ("service", True)]
)
async def test_without_a_new_token_the_agents_own_jwt_creates_the_record_where_config_allows(
    app: FastAPI,
    settings: DevApiSettings,
    ledger: Ledger,
    access: str,
    status: int,
    *,
    taken: bool,
) -> None:
    """A fresh exchange is refused; then the agent's JWT, if it may; else a dead letter."""
    refused = Error(endpoint="user-token", status=status, code="NOT_IN_ROOM")
    app.state.api.active_faults.replace([refused])
    logs = await deliver(
        ledger, CuttableTransport(app), settings.mint_agent_jwt("loqua-tutor"), access
    )
    ends = [(log["event"], log.get("status")) for log in logs if log.get("row")]
    end = ("record.delivered", None) if taken else ("record.dead", status)
    assert ends == [("progress.dead", status), end]
    assert len(sessions(app)) == taken
    reasons = [log["why"] for log in logs if log["event"] == "session.recorded_by_service"]
    assert len(reasons) == (access == "user_then_service")


async def test_with_a_new_token_the_record_is_the_learners_own(
    app: FastAPI, settings: DevApiSettings, ledger: Ledger
) -> None:
    """The agent's JWT stands back for as long as there is a learner's."""
    jwt = settings.mint_agent_jwt("loqua-tutor")
    logs = await deliver(ledger, CuttableTransport(app), jwt, "user_then_service")
    events = [log["event"] for log in logs]
    assert "record.delivered" in events
    assert "session.recorded_by_service" not in events


async def test_what_the_agents_own_jwt_is_refused_is_a_dead_letter(
    app: FastAPI, settings: DevApiSettings, ledger: Ledger
) -> None:
    """The API knows no such learner, whoever asks."""
    app.state.api.store.forget("user_ana")
    jwt = settings.mint_agent_jwt("loqua-tutor")
    logs = await deliver(ledger, CuttableTransport(app), jwt, "user_then_service")
    [dead] = [log for log in logs if log["event"] == "record.dead"]
    assert str(dead["why"]).startswith("sessions: 404")


@pytest.mark.parametrize("honoured", [True, False])
async def test_an_unclear_end_of_the_agents_own_call_is_repeated_only_where_keys_are_honoured(
    app: FastAPI, settings: DevApiSettings, ledger: Ledger, *, honoured: bool
) -> None:
    """The agent cannot read the learner's history: without keys, the record is a dead letter."""
    faults = [
        Error(endpoint="user-token", status=404, code="USER_NOT_FOUND"),
        LostAnswer(endpoint="sessions", count=1),
    ]
    app.state.api.active_faults.replace(faults)
    jwt = settings.mint_agent_jwt("loqua-tutor")
    logs = await deliver(ledger, CuttableTransport(app), jwt, "service", honours_keys=honoured)
    ends = [log["event"] for log in logs if log.get("row") == "record"]
    assert ends[-1] == ("record.delivered" if honoured else "record.dead")
    assert len(sessions(app)) == 1
