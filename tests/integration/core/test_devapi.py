"""A whole lesson against the dev API, with each of its faults, from host's and learner's side."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest
from pydantic import SecretStr

from loqua_host.contract.records import Mode, Performance, Progress, SessionRecord, Word
from loqua_host.core import Caller, CoreSettings, EnvironmentSecrets, LoquaApi
from loqua_host.dev.api import DevApiSettings, serve
from loqua_host.errors import RefusedError, UnreachableError

CALLER = Caller("user_ana", "room-1", "loqua-spanish-tutor")
RECORD = SessionRecord(
    session_id="sess_1",
    duration_minutes=5,
    topics_covered=("greetings",),
    new_vocabulary=(Word(word="hello", translation="hola", language="es"),),
    overall_performance=Performance.GOOD,
)
QUICK = {
    "attempt_timeout": 2,  # after which a request that hangs is sent again
    "connect_timeout": 2,
    "deadline": 14,
    "backoff": 0.02,
    "breaker": {"failures": 100},
}


@dataclass(frozen=True)
class ServedDevApi:
    """A running dev API, and its agent's secrets."""

    url: str
    environ: dict[str, str]

    async def misbehave(self, **fault: object) -> None:
        """Put one fault in force."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as http:
            answer = await http.put("/dev/faults", json={"faults": [fault]})
            answer.raise_for_status()

    async def arrived(self) -> str:
        """Return all that arrived, as text."""
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as http:
            return (await http.get("/dev/records")).text


@pytest.fixture
async def devapi() -> AsyncIterator[ServedDevApi]:
    """Serve a dev API for one test."""
    settings = DevApiSettings(
        shared_secret=SecretStr("a shared secret"),
        livekit_url="ws://127.0.0.1:7880",
        livekit_api_key="devkey",
        livekit_api_secret=SecretStr("a secret of the LiveKit server, thirty-two or more"),
    )
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(settings, ready=ready.set_result))
    environ = {
        "SHARED_SECRET": "a shared secret",
        "AGENT_JWT_TOKEN": settings.mint_agent_jwt(CALLER.agent_id),
    }
    yield ServedDevApi(await ready, environ)
    serving.cancel()
    await asyncio.wait([serving])


@pytest.fixture
async def api(devapi: ServedDevApi) -> AsyncIterator[LoquaApi]:
    """Open the core towards it."""
    settings = CoreSettings.model_validate({"api_base_url": devapi.url, **QUICK})
    async with LoquaApi.open(settings, EnvironmentSecrets(devapi.environ)) as api:
        yield api


async def lesson(api: LoquaApi) -> Mode:
    """Return a whole lesson, and the mode it ended in."""
    await api.lease(CALLER)
    await api.context(CALLER)
    await api.check_health(CALLER)
    await api.send_progress(
        CALLER, session_id="sess_1", status="completed", progress=Progress(), key="p"
    )
    await api.create_session(CALLER, RECORD, key="r")
    return api.mode(CALLER)


async def test_a_whole_lesson(devapi: ServedDevApi, api: LoquaApi) -> None:
    """Every endpoint of the guide, and the record is in the history."""
    assert await lesson(api) is Mode.FULL
    assert await api.session_known(CALLER, "sess_1")
    assert "sess_1" in await devapi.arrived()


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "latency", "seconds": 0.2},
        {"kind": "error", "status": 500, "count": 3, "endpoint": "context"},
        {"kind": "error", "status": 503, "count": 3, "endpoint": "user-token"},
        {"kind": "error", "status": 401, "code": "UNAUTHORIZED", "count": 1, "endpoint": "health"},
        {"kind": "rate_limited", "count": 1, "retry_after": 1},
        {"kind": "rate_limited", "count": 1, "retry_after": 1, "as_date": True},
        {"kind": "outage", "count": 2},
        {"kind": "outage", "answer": "503", "count": 2},
        {"kind": "lost_answer", "count": 1, "endpoint": "progress"},
        {"kind": "hang", "count": 1},
        {"kind": "garbage_body", "count": 2},
        {"kind": "headers", "headers": {"Deprecation": "@1735689600", "Sunset": "soon"}},
        {"kind": "short_lived_token", "expires_in": 2},
        {"kind": "clock_skew", "seconds": 7200},
        {"kind": "clock_skew", "seconds": -7200},
    ],
    ids=lambda fault: fault["kind"],
)
async def test_a_learner_notices_nothing(
    devapi: ServedDevApi, api: LoquaApi, fault: dict[str, object]
) -> None:
    """The lesson is taught in full and its record arrives."""
    await devapi.misbehave(**fault)
    assert await lesson(api) is Mode.FULL
    assert "sess_1" in await devapi.arrived()


@pytest.mark.parametrize(
    ("fault", "refusal"),
    [
        ({"kind": "wrong_ciphertext"}, "wrong_shared_secret"),
        ({"kind": "short_lived_token", "expires_in": 0}, "expired"),
        ({"kind": "error", "status": 404, "code": "USER_NOT_FOUND"}, "USER_NOT_FOUND"),
        ({"kind": "error", "status": 401, "code": "INVALID_TOKEN"}, "INVALID_TOKEN"),
        ({"kind": "fewer_permissions", "permissions": ["user.context"]}, "session.create"),
    ],
    ids=["wrong_ciphertext", "expired", "no_such_user", "agent_refused", "fewer_permissions"],
)
async def test_a_lesson_is_refused_with_its_cause(
    devapi: ServedDevApi, api: LoquaApi, fault: dict[str, object], refusal: str
) -> None:
    """Refused never degrades; nothing arrives."""
    await devapi.misbehave(**fault)
    with pytest.raises(RefusedError, match=refusal):
        await lesson(api)
    assert "sess_1" not in await devapi.arrived()


async def test_a_lost_answer_to_a_record_is_cleared_up_by_the_history(
    devapi: ServedDevApi, api: LoquaApi
) -> None:
    """v1 ignores the key, so the record is not sent again blindly: it has arrived."""
    await devapi.misbehave(kind="lost_answer", endpoint="sessions")
    with pytest.raises(UnreachableError) as lost:
        await lesson(api)
    assert lost.value.sent
    assert await api.session_known(CALLER, "sess_1")
