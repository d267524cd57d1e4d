"""The two versions of the API side by side, and the end of v1."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from loqua_host.dev.api import DevApiSettings
from loqua_host.dev.api.versioning import NOTICE

SUNSET = datetime(2026, 6, 30, tzinfo=UTC)


@pytest.fixture
def settings(settings: DevApiSettings) -> DevApiSettings:
    """Return settings with an end of v1."""
    return settings.model_copy(update={"v1_sunset": SUNSET})


async def ask(agent: Any, version: str) -> httpx.Response:
    """Return the answer of a version's health check."""
    path, body = f"/api/{version}/agent/health", {"userId": "user_ana"}
    answer: httpx.Response = await agent.client.post(path, json=body, headers=agent.headers())
    return answer


async def exchange(anyone: Any) -> Any:
    """Return an agent with a token that is valid at the time of the test's clock."""
    return await anyone("loqua-spanish-tutor", "user_ana").exchange()


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_both_versions_are_offered(agent: Any, version: str) -> None:
    """Without a word of an end that is far away."""
    answer = await ask(agent, version)
    assert (answer.status_code, answer.headers["api-supported-versions"]) == (200, "v1, v2")
    assert not {"deprecation", "sunset"} & set(answer.headers)


async def test_the_end_of_v1_is_announced_six_months_ahead(anyone: Any, clock: Any) -> None:
    """With the day of the notice and the last day; v2 has no end."""
    clock.now = (SUNSET - NOTICE).timestamp()
    agent = await exchange(anyone)
    answer = await ask(agent, "v1")
    assert answer.status_code == 200
    assert answer.headers["deprecation"] == f"@{(SUNSET - NOTICE).timestamp():.0f}"
    assert parsedate_to_datetime(answer.headers["sunset"]) == SUNSET
    assert "sunset" not in (await ask(agent, "v2")).headers


async def test_after_its_end_v1_is_gone(anyone: Any, clock: Any) -> None:
    """Only the second version answers, and is offered."""
    clock.now = (SUNSET - timedelta(minutes=10)).timestamp()
    agent = await exchange(anyone)
    clock.now = SUNSET.timestamp()
    answer = await ask(agent, "v1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "VERSION_ENDED")
    assert answer.headers["api-supported-versions"] == "v2"
    assert (await ask(agent, "v2")).status_code == 200


async def test_a_record_of_v2_is_dated_by_its_beginning(agent: Any, record: dict[str, Any]) -> None:
    """One renamed and one new field; the names of v1 are refused."""
    words = record.pop("new_vocabulary")
    body = {**record, "vocabulary": words, "started_at": "2025-01-14T08:00:00Z"}
    path = "/api/v2/agent/sessions"
    accepted = await agent.client.post(path, json=body, headers=agent.headers())
    refused = await agent.client.post(
        path, json={**record, "new_vocabulary": words}, headers=agent.headers()
    )
    assert (accepted.status_code, refused.status_code) == (200, 400)
    newest = (await agent.context()).json()["session_history"][0]
    assert (newest["session_id"], newest["date"]) == ("sess_1", "2025-01-14T08:00:00Z")
