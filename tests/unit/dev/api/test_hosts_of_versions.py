"""A host's core with the dev API through the life of v1: offered, deprecated, ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI

from loqua_host.contract.records import Performance, SessionRecord, Word
from loqua_host.core import Caller, CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.core.runtime import Runtime
from loqua_host.dev.api import DevApiSettings
from loqua_host.errors import UnreachableError

SUNSET = datetime(2026, 6, 30, tzinfo=UTC)
ANA = Caller("user_ana", "room_1", "loqua-spanish-tutor")
BEGAN = datetime(2026, 6, 29, 8, tzinfo=UTC)
HOLA = Word(word="hola", translation="hello", language="es")
RECORD = SessionRecord(
    session_id="sess_1",
    duration_minutes=15,
    overall_performance=Performance.GOOD,
    new_vocabulary=(HOLA,),
)


class ApiClock:
    """The API's own clock, for a host whose timers are the machine's."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._own = Runtime().clock

    def now(self) -> float:
        """Return the API's time."""
        now: float = self._api.now
        return now

    def monotonic(self) -> float:
        """Return seconds that never step."""
        return self._own.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._own.sleep(seconds)


@pytest.fixture
def settings(settings: DevApiSettings) -> DevApiSettings:
    """Return settings with an end of v1, and keys that are honoured."""
    return settings.model_copy(update={"v1_sunset": SUNSET, "honour_idempotency": True})


@asynccontextmanager
async def a_host(
    app: FastAPI, settings: DevApiSettings, clock: Any, newest: str
) -> AsyncIterator[LoquaApi]:
    """Open the core of a host that speaks versions up to the newest."""
    environ = {
        "AGENT_JWT_TOKEN": settings.mint_agent_jwt("loqua"),
        "SHARED_SECRET": settings.shared_secret.get_secret_value(),
    }
    core = CoreSettings.model_validate(
        {"api_base_url": "http://api", "max_version": newest, "retries": 0}
    )
    transport = httpx.ASGITransport(app=app)
    runtime = Runtime(clock=ApiClock(clock))
    async with LoquaApi.open(
        core, EnvironmentSecrets(environ), runtime=runtime, transport=transport
    ) as api:
        yield api


async def records(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return the records that the API has taken."""
    return [one["payload"] for one in (await client.get("/dev/records")).json()["sessions"]]


async def send(api: LoquaApi) -> None:
    """Send the record of Ana's lesson."""
    await api.create_session(ANA, RECORD, key="k", started_at=BEGAN.timestamp())


@pytest.mark.parametrize(
    ("newest", "version", "left"),
    [
        pytest.param("v1", "v1", timedelta(days=10), id="speaks v1"),
        pytest.param("v2", "v2", None, id="speaks both"),
    ],
)
async def test_a_deprecated_version_is_left_by_who_can(
    app: FastAPI,
    settings: DevApiSettings,
    clock: Any,
    client: httpx.AsyncClient,
    newest: str,
    version: str,
    left: timedelta | None,
) -> None:
    """Other hosts warn their operators; the record arrives from both."""
    clock.now = (SUNSET - timedelta(days=10)).timestamp()
    with structlog.testing.capture_logs() as logs:
        async with a_host(app, settings, clock, newest) as api:
            await api.lease(ANA)
            await send(api)
            spoken = api.version
    assert spoken.version == version
    assert spoken.deprecated is (version == "v1")
    ends = None if left is None else clock.now + left.total_seconds()
    assert spoken.sunset == ends
    warned = [line["version"] for line in logs if line["event"] == "api.deprecated"]
    assert warned == ["v1"] * spoken.deprecated
    (record,) = await records(client)
    assert ("vocabulary" in record, "new_vocabulary" in record) == (
        version == "v2",
        version == "v1",
    )


async def test_what_is_pending_on_a_host_when_v1_ends_is_delivered_by_its_next_version(
    app: FastAPI, settings: DevApiSettings, clock: Any, client: httpx.AsyncClient
) -> None:
    """It is not refused, so the ledger keeps it; the date of the lesson stays."""
    clock.now = (SUNSET - timedelta(minutes=10)).timestamp()
    async with a_host(app, settings, clock, "v1") as old:
        await old.lease(ANA)
        clock.now = SUNSET.timestamp()
        with pytest.raises(UnreachableError, match="update loqua-host"):
            await send(old)
        assert await records(client) == []
    async with a_host(app, settings, clock, "v2") as updated:
        await updated.lease(ANA)
        await send(updated)
        newest = (await updated.context(ANA)).context.session_history[0]
    assert newest.date == BEGAN


async def test_a_record_sent_again_in_the_other_version_is_one(
    app: FastAPI, settings: DevApiSettings, clock: Any, client: httpx.AsyncClient
) -> None:
    """The answer in v1 was lost; the idempotency key is the same in v2."""
    clock.now = (SUNSET - timedelta(minutes=10)).timestamp()
    async with a_host(app, settings, clock, "v1") as old:
        await old.lease(ANA)
        await send(old)
    async with a_host(app, settings, clock, "v2") as updated:
        await updated.lease(ANA)
        await send(updated)
    assert len(await records(client)) == 1
