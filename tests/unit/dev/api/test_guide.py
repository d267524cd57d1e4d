"""The guide's own examples, sent and answered word for word."""

from typing import Any

import httpx
import pytest

from loqua_host.dev.api import DevApiSettings

AS_THE_USER = [
    "Update User Progress",
    "Create Learning Session",
    "Get User Context",
    "Agent Health Check",
]


@pytest.fixture
async def agent(anyone: Any, client: httpx.AsyncClient, guide: dict[str, Any]) -> Any:
    """Return the guide's agent, room and learner, all called `string`, with its history."""
    context = guide["Get User Context"].example("Success Response (200)")
    profile = {key: context[key] for key in context.keys() - {"user_id", "accessed_by"}}
    assert (await client.put("/dev/learners/string", json=profile)).status_code == 200
    return await anyone("string", "string").exchange()


async def ask(agent: Any, endpoint: Any, headers: dict[str, str]) -> httpx.Response:
    """Call an endpoint with the guide's own request body."""
    body = endpoint.example("Request Body") if "Request Body" in endpoint.blocks else None
    path = endpoint.path.format(user_id="string")
    return await agent.client.request(endpoint.method, path, json=body, headers=headers)


async def test_the_token_exchange_answers_as_in_the_guide(
    agent: Any, guide: dict[str, Any], settings: DevApiSettings
) -> None:
    """Every field of the answer is the guide's; the ciphertext has its form."""
    endpoint = guide["Get Encrypted User JWT Token"]
    token = settings.mint_agent_jwt("string")
    answer = await ask(agent, endpoint, endpoint.headers(token, "string"))
    expected = endpoint.example("Success Response (200)")
    encrypted = answer.json()["encrypted_token"]
    assert answer.json() == expected | {
        "encrypted_token": encrypted,
        "issued_at": "2025-01-15T10:30:00Z",
    }
    iv, data = encrypted.split(":")
    assert len(bytes.fromhex(iv)) == 16
    assert len(bytes.fromhex(data)) % 16 == 0


@pytest.mark.parametrize("title", AS_THE_USER)
async def test_an_endpoint_answers_as_in_the_guide(
    agent: Any, guide: dict[str, Any], title: str
) -> None:
    """The guide's request with its headers gets the guide's answer, whole."""
    endpoint = guide[title]
    answer = await ask(agent, endpoint, endpoint.headers(agent.token, "string"))
    assert answer.status_code == 200
    assert answer.json() == endpoint.example("Success Response (200)")


@pytest.mark.parametrize("title", AS_THE_USER)
async def test_numbers_are_written_as_in_the_guide(
    agent: Any, guide: dict[str, Any], title: str
) -> None:
    """A whole number has no fraction on the wire: 750, not 750.0."""
    endpoint = guide[title]
    answer = await ask(agent, endpoint, endpoint.headers(agent.token, "string"))
    assert ".0" not in answer.text


async def test_health_without_a_user_id_is_refused_as_in_the_guide(
    agent: Any, guide: dict[str, Any]
) -> None:
    """The guide's one example of an error, word for word."""
    answer = await agent.post("health", {})
    assert answer.status_code == 400
    assert answer.json() == guide["Agent Health Check"].example("Error Response (400)")


@pytest.mark.parametrize("title", ["Get Encrypted User JWT Token", *AS_THE_USER])
async def test_the_headers_that_the_guide_requires_are_required(
    agent: Any, guide: dict[str, Any], settings: DevApiSettings, title: str
) -> None:
    """Without the token it is 401, without the agent's name 400."""
    endpoint = guide[title]
    token = settings.mint_agent_jwt("string") if "user-token" in endpoint.path else agent.token
    headers = endpoint.headers(token, "string")
    without_token = await ask(agent, endpoint, {"X-Agent-ID": headers["X-Agent-ID"]})
    without_agent = await ask(agent, endpoint, {"Authorization": headers["Authorization"]})
    assert without_token.status_code == 401
    assert without_token.headers["WWW-Authenticate"] == "Bearer"
    assert without_agent.status_code == 400
    assert without_agent.json()["error"]["code"] == "MISSING_AGENT_ID"


async def test_the_schema_documents_the_guides_endpoints_and_refusals(
    client: httpx.AsyncClient, guide: dict[str, Any]
) -> None:
    """The OpenAPI document leaves out the developer's controls."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    ours = {(it.path, it.method.lower()) for it in guide.values()}
    assert {
        *ours,
        ("/api/v1/rooms/join", "post"),
        *((path.replace("v1", "v2"), method) for path, method in ours),
    } == {(path, method) for path, methods in paths.items() for method in methods}
    exchange = paths["/api/v1/agent/user-token"]["post"]["responses"]
    assert exchange.keys() == {"200", "400", "401", "403", "404", "default"}
