"""Faults: effects, endpoints, counts and durations."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import jwt
import pytest

from loqua_host.dev.api import DevApiSettings, create_app
from loqua_host.dev.api.faults import Error

HEALTH = {"userId": "user_ana"}


@pytest.fixture
def misbehave(client: httpx.AsyncClient) -> Any:
    """Return a function that activates faults."""

    async def put(*faults: dict[str, Any]) -> httpx.Response:
        return await client.put("/dev/faults", json={"faults": faults})

    return put


async def statuses(agent: Any, times: int) -> list[int]:
    """Return the statuses of so many consecutive health requests."""
    return [(await agent.post("health", HEALTH)).status_code for _ in range(times)]


async def test_an_error_has_its_status_and_the_guides_body(agent: Any, misbehave: Any) -> None:
    """Any status from 400 to 599; nothing is kept."""
    await misbehave({"kind": "error", "status": 502})
    answer = await agent.post("health", HEALTH)
    assert answer.status_code == 502
    assert answer.json() == {
        "error": {"code": "INTERNAL_ERROR", "message": "an error that was asked for"},
        "timestamp": "2025-01-15T10:30:00Z",
    }
    assert (await agent.client.get("/dev/records")).json()["health"] == []


async def test_a_counted_fault_ends_by_itself(agent: Any, misbehave: Any) -> None:
    """Two strikes, then none; what is left is shown."""
    await misbehave({"kind": "error", "count": 2})
    assert await statuses(agent, 1) == [500]
    left = (await agent.client.get("/dev/faults")).json()["faults"]
    assert [fault["count"] for fault in left] == [1]
    assert await statuses(agent, 3) == [500, 200, 200]
    assert (await agent.client.get("/dev/faults")).json() == {"faults": []}


async def test_a_fault_strikes_its_endpoint_only(agent: Any, misbehave: Any) -> None:
    """An outage of the context leaves health alone."""
    await misbehave({"kind": "outage", "answer": "503", "endpoint": "context"})
    assert (await agent.context()).status_code == 503
    assert await statuses(agent, 1) == [200]


async def test_a_fault_without_an_endpoint_strikes_the_guides_five_and_no_control(
    agent: Any, misbehave: Any, progress: dict[str, Any], record: dict[str, Any]
) -> None:
    """The fault can be removed, and learners can still enter."""
    await misbehave({"kind": "error"})
    struck = [
        await agent.ask_token(),
        await agent.post("progress", progress),
        await agent.post("sessions", record),
        await agent.context(),
        await agent.post("health", HEALTH),
    ]
    assert [answer.status_code for answer in struck] == [500] * 5
    join = await agent.client.post("/api/v1/rooms/join", json={"user_id": "user_ana"})
    assert join.status_code == 200
    assert (await agent.client.delete("/dev/faults")).status_code == 204
    assert await statuses(agent, 1) == [200]


async def test_a_web_server_may_answer_instead_of_the_api(agent: Any, misbehave: Any) -> None:
    """With a page of its own, not the guide's error body."""
    await misbehave({"kind": "intercepted", "status": 403, "body": "<h1>no</h1>"})
    answer = await agent.post("health", HEALTH)
    assert (answer.status_code, answer.text) == (403, "<h1>no</h1>")


@pytest.mark.parametrize(("rate", "status"), [(0.4, 200), (0.6, 500)])
async def test_a_fault_strikes_at_its_rate(
    agent: Any, misbehave: Any, rate: float, status: int
) -> None:
    """The test's chance is always a half."""
    await misbehave({"kind": "error", "rate": rate, "count": 1})
    assert await statuses(agent, 1) == [status]


async def test_too_many_requests_tells_when_to_come_back(agent: Any, misbehave: Any) -> None:
    """Retry-After in seconds, and the RateLimit headers."""
    await misbehave({"kind": "rate_limited", "retry_after": 7, "limit": 30})
    answer = await agent.post("health", HEALTH)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == answer.headers["RateLimit-Reset"] == "7"
    assert answer.headers["RateLimit-Limit"] == "30"
    assert answer.headers["RateLimit-Remaining"] == "0"


async def test_too_many_requests_may_tell_a_date(agent: Any, misbehave: Any) -> None:
    """The other form of Retry-After."""
    await misbehave({"kind": "rate_limited", "retry_after": 7, "as_date": True})
    answer = await agent.post("health", HEALTH)
    date = parsedate_to_datetime(answer.headers["Retry-After"])
    assert date == datetime(2025, 1, 15, 10, 30, 7, tzinfo=UTC)


async def test_headers_can_be_added_to_what_another_fault_answers(
    agent: Any, misbehave: Any
) -> None:
    """Faults nest in their order, the first outermost."""
    extra = {"kind": "headers", "headers": {"Sunset": "Sat, 15 Nov 2025 00:00:00 GMT"}}
    await misbehave(extra, {"kind": "error"})
    answer = await agent.post("health", HEALTH)
    assert (answer.status_code, answer.headers["Sunset"]) == (500, extra["headers"]["Sunset"])


async def test_garbage_is_no_json(agent: Any, misbehave: Any) -> None:
    """Though the status and the type say so."""
    await misbehave({"kind": "garbage_body"})
    answer = await agent.post("health", HEALTH)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    with pytest.raises(ValueError, match="codec"):
        answer.json()


async def test_wrong_ciphertext_is_well_formed_and_not_the_token(
    agent: Any, misbehave: Any
) -> None:
    """It is what an API with another shared secret would send."""
    await misbehave({"kind": "wrong_ciphertext"})
    answer = await agent.ask_token()
    assert answer.status_code == 200
    assert answer.json()["encrypted_token"].count(":") == 1
    assert not agent.decrypted(answer).startswith("eyJ")


async def test_a_short_lived_token_says_so_and_is(agent: Any, misbehave: Any, clock: Any) -> None:
    """Its lifetime in the answer, in its claims and in fact."""
    await misbehave({"kind": "short_lived_token", "expires_in": 10})
    answer = await agent.ask_token()
    agent.token = agent.decrypted(answer)
    assert answer.json()["expires_in"] == 10
    clock.now += 9
    assert await statuses(agent, 1) == [200]
    clock.now += 1
    assert await statuses(agent, 1) == [401]


async def test_a_skewed_clock_moves_all_that_the_api_says_of_time(
    agent: Any, misbehave: Any, clock: Any
) -> None:
    """The Date, the timestamp and the token's own times; its lifetime stays."""
    await misbehave({"kind": "clock_skew", "seconds": 600})
    answer = await agent.ask_token()
    claims = jwt.decode(agent.decrypted(answer), options={"verify_signature": False})
    then = datetime(2025, 1, 15, 10, 30, tzinfo=UTC) + timedelta(seconds=600)
    assert parsedate_to_datetime(answer.headers["Date"]) == then
    assert answer.json()["issued_at"] == "2025-01-15T10:40:00Z"
    assert claims["iat"] == clock.now + 600
    assert claims["exp"] == claims["iat"] + 3600


async def test_every_answer_has_a_date(agent: Any) -> None:
    """By which a client measures how far its clock is off."""
    answer = await agent.post("health", HEALTH)
    assert answer.headers["Date"] == "Wed, 15 Jan 2025 10:30:00 GMT"


@pytest.mark.parametrize("kind", ["outage", "lost_answer"])
async def test_a_dropped_connection_has_no_answer(agent: Any, misbehave: Any, kind: str) -> None:
    """In memory there is no connection to drop, so the transport breaks."""
    await misbehave({"kind": kind})
    with pytest.raises(ConnectionResetError):
        await agent.post("health", HEALTH)


async def test_what_a_lost_answer_was_to_is_done_nevertheless(
    agent: Any, misbehave: Any, record: dict[str, Any]
) -> None:
    """The caller cannot know; the session history tells."""
    await misbehave({"kind": "lost_answer", "endpoint": "sessions"})
    with pytest.raises(ConnectionResetError):
        await agent.post("sessions", record)
    history = (await agent.context()).json()["session_history"]
    assert history[0]["session_id"] == "sess_1"


async def test_faults_can_be_there_from_the_start(
    settings: DevApiSettings, anyone: Any, clock: Any
) -> None:
    """An API that is down before anyone asks."""
    broken = settings.model_copy(update={"faults": (Error(status=503),)})
    transport = httpx.ASGITransport(app=create_app(broken, clock=clock))
    agent = anyone("loqua", "user_ana")
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as agent.client:
        assert (await agent.ask_token()).status_code == 503


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "sabotage"},
        {"kind": "error", "endpoint": "everything"},
        {"kind": "error", "status": 200},
        {"kind": "error", "count": 0},
        {"kind": "error", "rate": 2},
        {"kind": "latency"},
        {"kind": "latency", "seconds": -1},
        {"kind": "headers", "headers": {"X": "split\r\nhere"}},
    ],
)
async def test_a_fault_that_is_none_is_refused(agent: Any, misbehave: Any, fault: Any) -> None:
    """400 with its place, and those in force stay."""
    await misbehave({"kind": "error"})
    answer = await misbehave(fault)
    assert answer.status_code == 400
    assert "faults.0" in answer.json()["error"]["message"]
    assert await statuses(agent, 1) == [500]
