"""Arrivals, for tests and for people."""

from typing import Any

import httpx
import pytest

HOSTILE = "<script>alert('x')</script>"


async def test_records_hold_what_arrived_as_it_was_sent(
    agent: Any, progress: dict[str, Any], record: dict[str, Any]
) -> None:
    """By kind, with time, agent, learner, key and the very payload."""
    await agent.post("progress", progress)
    await agent.post("sessions", record, **{"Idempotency-Key": "k1"})
    await agent.context()
    await agent.post("health", {"userId": "user_ana"})
    records = (await agent.client.get("/dev/records")).json()
    assert records["sessions"] == [
        {
            "number": 3,
            "kind": "sessions",
            "received_at": "2025-01-15T10:30:00Z",
            "agent_id": "loqua-spanish-tutor",
            "user_id": "user_ana",
            "payload": record,
            "idempotency_key": "k1",
        }
    ]
    assert records["progress"][0]["payload"] == progress
    assert {kind: len(arrived) for kind, arrived in records.items()} == {
        "joins": 0,
        "exchanges": 1,
        "contexts": 1,
        "progress": 1,
        "sessions": 1,
        "health": 1,
        "refused": 0,
    }


async def test_what_is_refused_is_listed_with_its_reason(agent: Any) -> None:
    """The author of a client sees the mistake."""
    await agent.post("health", {})
    (refused,) = (await agent.client.get("/dev/records")).json()["refused"]
    assert refused["payload"] == {
        "request": "POST /api/v1/agent/health",
        "status": 400,
        "code": "MISSING_USER_ID",
        "message": "userId is required for agent context validation",
    }


async def test_no_token_is_shown_anywhere(
    agent: Any, client: httpx.AsyncClient, progress: dict[str, Any]
) -> None:
    """This includes refused and misplaced tokens of agent and learner."""
    await agent.post("progress", progress)
    await client.get("/api/v1/agent/user/user_ana/context", headers={"Authorization": "Bearer ey1"})
    shown = (await client.get("/")).text + (await client.get("/dev/records")).text
    agents = agent.agent_headers()["Authorization"].removeprefix("Bearer ")
    assert not [it for it in (agent.token, agents, "ey1") if it in shown]


@pytest.mark.parametrize("place", ["topic", "name", "agent"])
async def test_the_page_escapes_everything(
    agent: Any, client: httpx.AsyncClient, record: dict[str, Any], place: str
) -> None:
    """Values from any source are text."""
    if place == "topic":
        await agent.post("sessions", record | {"topics_covered": [HOSTILE]})
    elif place == "name":
        await client.put("/dev/learners/user_eve", json={"display_name": HOSTILE})
    else:
        await agent.post("health", {"userId": HOSTILE}, **{"X-Agent-ID": HOSTILE})
    page = await client.get("/")
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


async def test_the_page_loads_itself_anew_and_shows_the_newest_first(
    agent: Any, record: dict[str, Any], client: httpx.AsyncClient
) -> None:
    """A new record appears without a reload by hand."""
    for session_id in ("sess_early", "sess_late"):
        await agent.post("sessions", record | {"sessionId": session_id})
    page = (await client.get("/")).text
    assert 'http-equiv="refresh"' in page
    assert page.index("sess_late") < page.index("sess_early")
