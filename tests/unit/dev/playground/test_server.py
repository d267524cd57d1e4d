"""The playground's server: its answers, its access rules, and its secrets."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from loqua_host.dev.api.app import create_app
from loqua_host.dev.api.settings import DevApiSettings
from loqua_host.dev.playground.server import OfferedTutor, PlaygroundSettings, build_playground
from loqua_host.dev.playground.visits import Visits

Client = TestClient  # type: ignore[type-arg]  # generic in aiohttp's own request type

SECRETS = {"shared_secret": "shared-secret", "livekit_api_secret": "l" * 40}
NEW = {"name": "Zoë", "learning": "spanish", "native": "german", "level": "B1"}


def down(_request: httpx.Request) -> httpx.Response:
    """Answer nothing."""
    raise httpx.ConnectError("refused")


def other_api(_request: httpx.Request) -> httpx.Response:
    """Answer as an API that is not one for development."""
    return httpx.Response(404, json={})


@pytest_asyncio.fixture
async def serve() -> AsyncIterator[Any]:
    """Serve a playground in front of an API."""
    served = []

    async def serve(transport: httpx.AsyncBaseTransport) -> Client:
        settings = PlaygroundSettings(
            api_url="http://api",
            livekit_url="ws://127.0.0.1:7880",
            tutors=(
                OfferedTutor("conversation", ""),
                OfferedTutor("grammar", "grammar-specialist"),
            ),
        )
        http = httpx.AsyncClient(base_url=settings.api_url, transport=transport)
        client = Client(TestServer(build_playground(settings, Visits(http))))
        await client.start_server()
        served.append((client, http))
        return client

    yield serve
    for client, http in served:
        await client.close()
        await http.aclose()


@pytest_asyncio.fixture
async def page(serve: Any) -> Client:
    """Return a client of a playground whose API is a dev API."""
    settings = DevApiSettings(
        livekit_url="ws://127.0.0.1:7880", livekit_api_key="devkey", **SECRETS
    )
    client: Client = await serve(httpx.ASGITransport(create_app(settings)))
    return client


async def test_the_page_may_load_and_reach_this_server_and_livekit_alone(page: Client) -> None:
    """The policy allows no CDN and no script outside the page's files."""
    answer = await page.get("/")
    html = await answer.text()
    policy = answer.headers["Content-Security-Policy"]
    (nonce,) = re.findall(r'name="csp-nonce" content="([\w-]+)"', html)
    assert f"style-src 'self' 'nonce-{nonce}'" in policy
    assert "default-src 'none'; script-src 'self';" in policy
    assert "connect-src 'self' blob: ws://127.0.0.1:7880 http://127.0.0.1:7880;" in policy
    assert re.findall(r'(?:src|href)="(?:https?:)?//', html) == []


async def test_each_page_has_a_nonce_of_its_own(page: Client) -> None:
    """One that is known beforehand would be none."""
    pages = {await (await page.get("/")).text() for _ in range(2)}
    assert len(pages) == 2


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        pytest.param("/main.js", "text/javascript", id="a module"),
        pytest.param("/playground.css", "text/css", id="styles"),
        pytest.param("/vendor/livekit-client.umd.js", "text/javascript", id="a vendored file"),
    ],
)
async def test_files_of_the_page_are_served(page: Client, path: str, kind: str) -> None:
    """With types that a browser accepts under `nosniff`."""
    answer = await page.get(path)
    assert (answer.status, answer.content_type) == (200, kind)


@pytest.mark.parametrize(
    "path", ["/server.py", "/vendor/../../server.py", "/%2e%2e/server.py", "/none.js", "/vendor/"]
)
async def test_nothing_else_is_served(page: Client, path: str) -> None:
    """Files beside the page and above its directory are not found."""
    assert (await page.get(path)).status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Host": "evil.example"}, 421, id="a name that resolves to loopback"),
        pytest.param({"Host": ""}, 421, id="no name"),
        pytest.param({"Origin": "https://evil.example"}, 403, id="another origin"),
        pytest.param({"Origin": "null"}, 403, id="a sandboxed frame"),
        pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="a page of another site"),
        pytest.param({"Host": "localhost:1"}, 200, id="localhost"),
        pytest.param({"Host": "[::1]:1"}, 200, id="IPv6"),
        pytest.param({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200, id="the page"),
    ],
)
async def test_other_sites_in_the_same_browser_are_refused(
    page: Client, headers: dict[str, str], status: int
) -> None:
    """They could talk as any learner."""
    assert (await page.get("/api/choices", headers=headers)).status == status


async def test_a_known_learner_gets_a_token_for_a_new_room_and_nothing_else(page: Client) -> None:
    """Like the Loqua API's tokens, it does not let learners change their attributes."""
    answer = await page.post("/api/visits", json={"learner": "user_ana", "tutor": ""})
    visit = await answer.json()
    assert set(visit) == {"url", "token", "room", "visit", "learner"}
    claims = jwt.decode(visit["token"], SECRETS["livekit_api_secret"], ["HS256"])
    assert claims["video"]["room"] == visit["room"]
    assert claims["video"]["canUpdateOwnMetadata"] is False
    assert claims["attributes"]["user_id"] == "user_ana"
    assert not [one for one in SECRETS.values() if one in await answer.text()]


async def test_a_new_learner_is_registered_with_languages_and_level(page: Client) -> None:
    """The level comes from the words learned, as tutors estimate it."""
    visit = await (await page.post("/api/visits", json={"learner": NEW, "tutor": ""})).json()
    learners = (await (await page.get("/api/choices")).json())["learners"]
    (known,) = (one for one in learners if one["id"] == visit["learner"])
    assert (known["name"], known["learning"], known["native"]) == ("Zoë", "spanish", "german")


async def test_a_specialist_is_dispatched_by_its_name(page: Client) -> None:
    """The token names it."""
    wish = {"learner": "user_ana", "tutor": "grammar-specialist"}
    visit = await (await page.post("/api/visits", json=wish)).json()
    claims = jwt.decode(visit["token"], SECRETS["livekit_api_secret"], ["HS256"])
    assert claims["roomConfig"]["agents"] == [{"agentName": "grammar-specialist"}]


async def test_whoever_returns_enters_the_same_room(page: Client) -> None:
    """The tutor waits in that room."""
    wish = {"learner": "user_ana", "room": "play-0123456789ab"}
    visit = await (await page.post("/api/visits", json=wish)).json()
    assert visit["room"] == "play-0123456789ab"


@pytest.mark.parametrize(
    "wish",
    [
        pytest.param({"learner": "user_ana", "room": "demo-grammar"}, id="a room of others"),
        pytest.param({"learner": "../user_ana"}, id="no user id"),
        pytest.param({"learner": {**NEW, "name": " "}}, id="no name"),
        pytest.param({"learner": {**NEW, "level": "C2"}}, id="no level"),
        pytest.param({"tutor": ""}, id="no learner"),
        pytest.param([], id="no object"),
    ],
)
async def test_what_cannot_be_is_refused(page: Client, wish: object) -> None:
    """With a code that the page explains."""
    answer = await page.post("/api/visits", json=wish)
    assert (answer.status, await answer.json()) == (400, {"error": "wish_invalid"})


async def test_an_unknown_learner_is_said_to_be_one(page: Client) -> None:
    """The dev API has been restarted, for example."""
    answer = await page.post("/api/visits", json={"learner": "user_nobody"})
    assert (answer.status, await answer.json()) == (502, {"error": "learner_unknown"})


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        pytest.param(down, "api_down", id="down"),
        pytest.param(other_api, "no_dev_api", id="another API"),
    ],
)
async def test_an_unusable_api_is_said_to_be_one(serve: Any, answers: Any, code: str) -> None:
    """Each with the code of its remedy."""
    page = await serve(httpx.MockTransport(answers))
    answer = await page.get("/api/choices")
    assert (answer.status, await answer.json()) == (502, {"error": code})


async def test_records_are_those_of_the_visit(serve: Any) -> None:
    """Of all its tutors, and of no other learner or visit."""
    sessions = [
        {"user_id": "ana", "payload": {"sessionId": "s1", "n": 1}},
        {"user_id": "ana", "payload": {"sessionId": "s1.grammar-specialist", "n": 2}},
        {"user_id": "ana", "payload": {"sessionId": "s10", "n": 3}},
        {"user_id": "ben", "payload": {"sessionId": "s1", "n": 4}},
    ]
    arrived = httpx.Response(200, json={"sessions": sessions})
    page = await serve(httpx.MockTransport(lambda _: arrived))
    found = await (await page.get("/api/records/ana/s1")).json()
    assert [one["n"] for one in found["sessions"]] == [1, 2]


async def test_the_history_has_the_scores_of_each_lesson(serve: Any) -> None:
    """The last score of each, none where nothing was scored, and nothing of another learner."""

    def progress(user_id: str, session_id: str, score: float | None) -> dict[str, Any]:
        data = {"status": "in_progress", "progress": {"pronunciation_score": score}}
        return {"user_id": user_id, "payload": {"sessionId": session_id, "data": data}}

    def record(user_id: str, session_id: str) -> dict[str, Any]:
        figures = {"duration_minutes": 4.5, "overall_performance": "good"}
        payload = {"sessionId": session_id, **figures}
        return {"user_id": user_id, "received_at": "2026-01-02T10:00:00Z", "payload": payload}

    arrived = {
        "progress": [
            progress("ana", "s1", 61.0),
            progress("ana", "s1", 72.5),
            progress("ben", "s2", 12.0),
        ],
        "sessions": [record("ana", "s1"), record("ana", "s2"), record("ben", "s3")],
    }
    page = await serve(httpx.MockTransport(lambda _: httpx.Response(200, json=arrived)))
    found = (await (await page.get("/api/history/ana")).json())["sessions"]
    assert [one["score"] for one in found] == [72.5, None]
    assert found[0] == {
        "at": "2026-01-02T10:00:00Z",
        "minutes": 4.5,
        "performance": "good",
        "score": 72.5,
    }
