"""The scope of a learner's token, and invalid requests."""

import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

SURROGATES_TOO = st.characters(exclude_categories=())
A_WORD = {"word": "hello", "translation": "hola", "language": "es"}

BAD_PROGRESS = {
    "data": ["gone", None, "running", []],
    "data.status": ["gone", "", "done", None, 1],
    "data.progress": ["gone", None, [], "much"],
    "data.progress.words_learned": ["gone", -1, 1.5, "5", True, None, 10**30],
    "data.progress.phrases_practiced": ["gone", -1, "12"],
    "data.progress.pronunciation_score": [-0.1, 100.1, "85", True, float("nan"), float("inf")],
    "data.progress.grammar_points": ["gone", "articles", [""], [1], [None], ["x" * 501]],
    "userId": ["gone", "", "a/b", "a\nb", 7, None],
    "sessionId": ["", 5, "x" * 601],
    "extra": ["unknown fields are refused, so that a misspelt one is found"],
}
BAD_RECORDS = {
    "duration_minutes": ["gone", -1, 1441, "30", None, float("nan")],
    "topics_covered": ["gone", "travel", [""], [3], ["x"] * 501],
    "new_vocabulary": ["gone", {}, ["hello"], [{}], [A_WORD] * 501],
    "new_vocabulary.0.word": ["gone", "", None],
    "new_vocabulary.0.translation": ["gone", ""],
    "new_vocabulary.0.language": ["gone", "", 4],
    "grammar_points": ["gone", [""], "present_tense"],
    "pronunciation_practice_count": ["gone", -1, 1.5, "15"],
    "overall_performance": ["gone", "brilliant", "", None, "Good"],
    "achievements": ["gone", [{}], [""]],
    "next_session_recommendations": ["gone", "Focus", [["x"]]],
    "userId": ["gone", ""],
    "sessionId": [""],
    "extra": [1],
}


def changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return the body with another value, or none, at that path."""
    body = copy.deepcopy(body)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    place: Any = body
    for parent in parents:
        place = place[parent]
    if value == "gone":
        del place[last]
    else:
        place[last] = value
    return body


async def refused(agent: Any, endpoint: str, body: Any, path: str, values: list[Any]) -> None:
    """Assert that a 400 names the path for each value there, and that nothing was stored."""
    for value in values:
        answer = await agent.client.post(
            f"/api/v1/agent/{endpoint}",
            content=json.dumps(changed(body, path, value)),
            headers=agent.headers() | {"Content-Type": "application/json"},
        )
        assert answer.status_code == 400, value
        assert path in answer.json()["error"]["message"], value
    assert (await agent.client.get("/dev/records")).json()[endpoint] == []


@pytest.mark.parametrize("path", BAD_PROGRESS)
async def test_progress_out_of_shape_is_refused_by_its_path(
    agent: Any, progress: dict[str, Any], path: str
) -> None:
    """Missing, mistyped, out of range, too long: 400 with the field's path, nothing kept."""
    await refused(agent, "progress", progress, path, BAD_PROGRESS[path])


@pytest.mark.parametrize("path", BAD_RECORDS)
async def test_a_record_out_of_shape_is_refused_by_its_path(
    agent: Any, record: dict[str, Any], path: str
) -> None:
    """Likewise."""
    await refused(agent, "sessions", record, path, BAD_RECORDS[path])


@pytest.mark.parametrize("field", ["pronunciation_score"])
async def test_progress_needs_no_score(agent: Any, progress: dict[str, Any], field: str) -> None:
    """A lesson without scored speech has none."""
    body = changed(progress, f"data.progress.{field}", "gone")
    assert (await agent.post("progress", body)).status_code == 200


async def test_a_missing_user_id_has_the_guides_code(
    agent: Any, progress: dict[str, Any], record: dict[str, Any]
) -> None:
    """MISSING_USER_ID wherever a user is to be named."""
    for endpoint, body in {"progress": progress, "sessions": record, "health": {}}.items():
        answer = await agent.post(endpoint, {k: v for k, v in body.items() if k != "userId"})
        assert answer.json()["error"]["code"] == "MISSING_USER_ID"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"null", b"[]", b'"userId"', b"1"])
async def test_what_is_no_json_object_is_refused(agent: Any, content: bytes) -> None:
    """400 in the guide's error body."""
    headers = agent.headers() | {"Content-Type": "application/json"}
    answer = await agent.client.post("/api/v1/agent/health", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json().keys() == {"error", "timestamp"}


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(SURROGATES_TOO),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(SURROGATES_TOO), inner),
    )
)
@hypothesis_settings(
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
async def test_no_json_whatever_gets_more_than_a_refusal(agent: Any, body: Any) -> None:
    """Not even half a surrogate pair breaks the API, or its page from then on."""
    headers = agent.headers() | {"Content-Type": "application/json"}
    for content in (json.dumps(body), json.dumps({"userId": body}), json.dumps({str(body): body})):
        answer = await agent.client.post("/api/v1/agent/health", content=content, headers=headers)
        assert answer.status_code in (400, 403)  # some texts are user ids, if of nobody here
        assert len(answer.content) < 3000
    assert (await agent.client.get("/")).status_code == 200


async def test_json_must_be_called_json(agent: Any) -> None:
    """A body of another type is not read, so that no web page can send one unasked."""
    headers = agent.headers() | {"Content-Type": "text/plain"}
    body = b'{"userId": "user_ana"}'
    answer = await agent.client.post("/api/v1/agent/health", content=body, headers=headers)
    assert answer.status_code == 400


async def test_a_body_too_large_is_refused_unread(agent: Any) -> None:
    """413 past 256 KiB, in the guide's error body and the same words on every Python."""
    answer = await agent.post("health", {"userId": "x" * 300_000})
    assert answer.status_code == 413
    assert answer.json()["error"] == {
        "code": "REQUEST_ENTITY_TOO_LARGE",
        "message": "the body is larger than 262144 bytes",
    }


@pytest.mark.parametrize(("path", "status"), [("/api/v1/agent/nothing", 404), ("/", 405)])
async def test_paths_and_methods_unknown_get_the_guides_error_body(
    agent: Any, path: str, status: int
) -> None:
    """Whatever is refused is refused in one shape."""
    answer = await agent.client.post(path)
    assert answer.status_code == status
    assert answer.json().keys() == {"error", "timestamp"}


async def test_a_token_acts_for_its_own_user_only(
    agent: Any, progress: dict[str, Any], record: dict[str, Any]
) -> None:
    """403 for everything in Ben's name, though Ben exists."""
    bodies = {"progress": progress, "sessions": record, "health": {}}
    answers = [
        await agent.post(endpoint, body | {"userId": "user_ben"})
        for endpoint, body in bodies.items()
    ]
    answers.append(await agent.context("user_ben"))
    assert {answer.status_code for answer in answers} == {403}
    assert {answer.json()["error"]["code"] for answer in answers} == {"USER_MISMATCH"}


async def test_a_token_is_for_the_agent_that_asked_for_it(agent: Any) -> None:
    """403 under another X-Agent-ID, with the guide's word for it."""
    agent.agent_id = "another-agent"
    answer = await agent.context()
    assert answer.status_code == 403
    assert "agent authentication failed" in answer.json()["error"]["message"]


async def test_a_token_does_what_it_is_permitted(
    agent: Any, progress: dict[str, Any], record: dict[str, Any]
) -> None:
    """Without permissions health still answers, and shows that there are none."""
    fault = {"kind": "fewer_permissions", "permissions": []}
    await agent.client.put("/dev/faults", json={"faults": [fault]})
    await agent.exchange()
    denied = [
        await agent.post("progress", progress),
        await agent.post("sessions", record),
        await agent.context(),
    ]
    health = await agent.post("health", {"userId": "user_ana"})
    assert {answer.status_code for answer in denied} == {403}
    assert {answer.json()["error"]["code"] for answer in denied} == {"INSUFFICIENT_PERMISSIONS"}
    assert health.json()["permissions"] == []


async def test_a_user_forgotten_since_is_not_found(agent: Any, progress: dict[str, Any]) -> None:
    """A token outlives its user; the user's data does not come back."""
    await agent.client.delete("/dev/learners/user_ana")
    answers = [
        await agent.context(),
        await agent.post("health", {"userId": "user_ana"}),
        await agent.post("progress", progress),
    ]
    assert {answer.status_code for answer in answers} == {404}
