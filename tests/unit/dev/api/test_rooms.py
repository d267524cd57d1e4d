"""Room tokens for learners."""

from typing import Any

import httpx
import pytest
from livekit.api import TokenVerifier

from loqua_host.dev.api import DevApiSettings


@pytest.fixture
def verifier(settings: DevApiSettings) -> TokenVerifier:
    """Return the verifier of a LiveKit server with the same keys."""
    secret = settings.livekit_api_secret.get_secret_value()
    return TokenVerifier(settings.livekit_api_key, secret)


async def join(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """Join as Ana."""
    answer = await client.post("/api/v1/rooms/join", json={"user_id": "user_ana", **body})
    assert answer.status_code == 200
    return answer.json()


async def test_a_learner_enters_with_the_attributes_that_the_guide_names(
    client: httpx.AsyncClient, verifier: TokenVerifier
) -> None:
    """user_id, sessionId, email and display_name, which the learner cannot change itself."""
    answer = await join(client, room_name="lesson")
    claims = verifier.verify(answer["token"])
    assert claims.attributes == {
        "user_id": "user_ana",
        "sessionId": answer["session_id"],
        "email": "ana@example.com",
        "display_name": "Ana",
    }
    assert (claims.identity, claims.name) == ("user_ana", "Ana")
    assert claims.video
    assert claims.video.room == answer["room_name"] == "lesson"
    assert claims.video.can_update_own_metadata is False
    assert answer["url"] == "ws://127.0.0.1:7880"
    assert answer["session_id"].startswith("sess_1736937000000_")


async def test_a_token_names_no_agent_unless_asked(
    client: httpx.AsyncClient, verifier: TokenVerifier
) -> None:
    """A configured agent would keep the automatic tutor away."""
    claims = verifier.verify((await join(client))["token"])
    assert claims.room_config is None


async def test_a_token_names_the_agent_that_is_asked_for(
    client: httpx.AsyncClient, verifier: TokenVerifier
) -> None:
    """LiveKit dispatches it into the new room."""
    answer = await join(client, agent_name="pronunciation-specialist")
    config = verifier.verify(answer["token"]).room_config
    assert config
    assert [agent.agent_name for agent in config.agents] == ["pronunciation-specialist"]


async def test_two_joins_are_two_visits(client: httpx.AsyncClient) -> None:
    """Each has a session id of its own, and a room where none is named."""
    first, second = await join(client), await join(client)
    assert first["session_id"] != second["session_id"]
    assert first["room_name"] != second["room_name"]


async def test_a_stranger_does_not_enter(client: httpx.AsyncClient) -> None:
    """404, as for the exchange."""
    answer = await client.post("/api/v1/rooms/join", json={"user_id": "user_nobody"})
    assert answer.status_code == 404
