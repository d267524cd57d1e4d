"""Classification of error responses: from the API, or from a proxy before it."""

import json
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr
from tests.unit.core.conftest import EPOCH, ApiUnderTest, Loqua, error, jwt

from loqua_host.contract.records import Mode, Performance, Progress, SessionRecord
from loqua_host.core import Caller
from loqua_host.core.verdict import Prematurity, judge, prematurity, read_error
from loqua_host.errors import RefusedError, UnreachableError

RECORD = SessionRecord(
    session_id="sess_1",
    duration_minutes=1,
    overall_performance=Performance.GOOD,
    topics_covered=("zebra quokka",),
)

json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)

NOT_THE_API: list[tuple[bytes, str]] = [
    (b"404 page not found", "text/plain"),
    (b"<html><h1>403 Forbidden</h1></html>", "text/html"),
    (b"", "text/plain"),
    (b'{"message": "no Route matched with those values"}', "application/json"),
    (b'{"detail": "Not Found"}', "application/json"),
    (b'{"error": "Not Found", "status": 404}', "application/json"),
    (
        b'{"error": {"code": 404, "message": "Not Found", "status": "NOT_FOUND"}}',
        "application/json",
    ),
    (b'{"error": {"message": "blocked"}}', "application/json"),
    (b'{"error": {"code": ""}}', "application/json"),
    (b'[{"error": {"code": "NOT_FOUND"}}]', "application/json"),
    (b'{"type": "about:blank", "title": "Forbidden", "status": 403}', "application/problem+json"),
]
"""What ingresses, API gateways, firewalls and web frameworks answer by themselves."""


@pytest.mark.parametrize(("body", "_kind"), NOT_THE_API)
@pytest.mark.parametrize(
    "status", [400, 402, 403, 404, 405, 406, 409, 410, 413, 415, 421, 422, 451]
)
def test_a_status_without_the_apis_error_body_is_not_the_apis_verdict(
    status: int, body: bytes, _kind: str
) -> None:
    """It degrades as a 502 does, and the API may have taken the request."""
    verdict = judge("progress", status, read_error(body))
    assert isinstance(verdict, UnreachableError)
    assert verdict.sent
    assert verdict.status == status
    assert "API_BASE_URL" in str(verdict)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 413, 422])
def test_the_apis_own_error_is_its_verdict(status: int) -> None:
    """Its code and words are kept."""
    body = b'{"error": {"code": "SOME_CODE", "message": "some words"}}'
    verdict = judge("progress", status, read_error(body))
    assert isinstance(verdict, RefusedError)
    assert str(verdict) == f"progress: {status}: SOME_CODE: some words"
    assert verdict.code == "SOME_CODE"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"error": {"code": "MISSING_USER_ID", "message": "userId is required"}},
            "MISSING_USER_ID: userId is required",
        ),
        (
            {"error": {"code": "INVALID", "field": "data.status", "message": "unknown"}},
            "INVALID: data.status: unknown",
        ),
        ({"code": "PGRST301", "message": "JWT expired", "hint": None}, "PGRST301: JWT expired"),
        (
            {"error": "invalid_token", "error_description": "The token is malformed"},
            "invalid_token: The token is malformed",
        ),
        ({"title": "Unauthorized", "detail": "no such key"}, "Unauthorized: no such key"),
        ({"message": "Unauthorized"}, "Unauthorized"),
        ({"msg": "Token has expired"}, "Token has expired"),
        ({"detail": "Not authenticated"}, "Not authenticated"),
        ({"detail": [{"loc": ["body", "x"], "msg": "field required"}]}, "field required"),
        ({"errors": [{"code": "E7", "message": "no"}]}, "E7: no"),
        ({"error": {"code": 401, "message": "API key not valid"}}, "401: API key not valid"),
        ({"error": {"message": "line\none\u202e"}}, "line one "),
        ("nothing", "nothing"),
        ({"error": {}}, "no reason given"),
        ([], "no reason given"),
        (None, "no reason given"),
        ({"error": {"message": "x " * 999}}, "x " * 150),
    ],
)
def test_code_and_words_are_found_in_every_form_in_use(body: object, said: str) -> None:
    """They become one printable line."""
    assert str(read_error(json.dumps(body).encode())) == said


@given(st.binary() | json_values.map(lambda value: json.dumps({"error": value}).encode()))
@example(b"[" * 100_000)
@example(b'{"error":' * 5000)
def test_no_error_body_whatever_breaks_the_reader(body: bytes) -> None:
    """Fuzzed: what is said is always a short printable line, and judged."""
    details = read_error(body, {"www-authenticate": 'Bearer error="x"'}, b'{"a": ["b"]}')
    assert str(details).isprintable()
    assert 0 < len(str(details)) <= 700
    judge("context", 404, details)


@pytest.mark.parametrize(
    "message",
    [
        "topics_covered.0: zebra quokka is unknown",
        "ZEBRA QUOKKA",
        "near 'ebra quok'",
        "\\u007aebra quokka",
    ],
)
def test_what_a_learner_said_is_left_out_of_what_the_api_says(message: str) -> None:
    """An API may quote what it refuses, whole or in part."""
    body = json.dumps({"error": {"code": "INVALID", "message": message}}).encode()
    details = read_error(body, sent=b'{"topics_covered": ["zebra quokka"], "status": "completed"}')
    for word in ("zebra", "quokka", "ebra", "quok"):
        assert word not in str(details).lower()
    assert str(details).startswith("INVALID: ")


def test_a_token_in_an_error_is_left_out() -> None:
    """A server may quote the Authorization header."""
    token = jwt(exp=1)
    body = json.dumps({"message": f"bad header Bearer {token}"}).encode()
    assert token[10:40] not in str(read_error(body))


def _refused(**said: str) -> bytes:
    return json.dumps({"error": said}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b'{"code": "PGRST303", "message": "JWT not yet valid"}',
        b'{"code": "PGRST303", "message": "JWT issued at future"}',
        _refused(code="TOKEN_NOT_YET_VALID", message=""),
        _refused(code="TokenNotYetValid", message=""),
        _refused(code="UNAUTHORIZED", message='"nbf" claim timestamp check failed'),
        _refused(code="UNAUTHORIZED", message="The token is not yet valid (iat)"),
        b'{"error": "invalid_token", "error_description": "Token used before issued at"}',
        b'{"msg": "ImmatureSignatureError"}',
    ],
)
def test_a_token_that_is_not_valid_yet_is_recognised_by_its_words(body: bytes) -> None:
    """The messages are those of several JWT libraries."""
    old = SecretStr(jwt(iat=EPOCH - 9999, exp=EPOCH + 9999))
    assert prematurity(read_error(body), old, {}, EPOCH) is Prematurity.STATED


def test_a_challenge_is_read_where_there_is_no_body() -> None:
    """RFC 6750 defines its form."""
    headers = {
        "www-authenticate": 'Bearer realm="x", error="invalid_token", '
        'error_description="The token is not valid before 10:00"'
    }
    details = read_error(b"", headers)
    assert str(details) == "invalid_token: The token is not valid before 10:00"


@pytest.mark.parametrize(
    ("said", "claims", "expected"),
    [
        ("invalid token", {"iat": EPOCH}, Prematurity.POSSIBLE),
        ("invalid token", {"nbf": EPOCH + 3}, Prematurity.POSSIBLE),
        ("invalid token", {"iat": EPOCH - 60}, Prematurity.NO),
        ("invalid token", {"iat": "soon"}, Prematurity.NO),
        ("invalid token", {}, Prematurity.NO),
        ("expired or not yet valid", {"iat": EPOCH}, Prematurity.POSSIBLE),
        ("expired or not yet valid", {"iat": EPOCH - 60}, Prematurity.NO),
        ("JWT expired", {"iat": EPOCH}, Prematurity.NO),
        ("the session was revoked", {"iat": EPOCH}, Prematurity.NO),
    ],
)
def test_where_the_words_leave_it_open_a_new_token_may_be_early(
    said: str, claims: dict[str, Any], expected: Prematurity
) -> None:
    """By the time of who checked it, where the answer tells it."""
    body = _refused(code="UNAUTHORIZED", message=said)
    for headers, now in (({}, EPOCH), ({"date": formatdate(EPOCH, usegmt=True)}, EPOCH + 3600)):
        token = SecretStr(jwt(exp=EPOCH + 3600, **claims))
        assert prematurity(read_error(body), token, headers, now) is expected


async def test_a_token_that_is_not_valid_yet_is_used_again_a_moment_later(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """No new one is asked for: it would be as early."""
    async with under_test.open() as api:
        await api.lease(caller)
        early = error(401, "UNAUTHORIZED", "JWT not yet valid")
        loqua.fail("progress", early, early)
        await api.send_progress(
            caller, session_id="s", status="in_progress", progress=Progress(), key="k"
        )
    assert len(loqua.seen("user-token")) == 1
    assert [call.at for call in loqua.seen("progress")] == [0, 0.5, 1.5]


async def test_a_new_token_that_is_refused_without_saying_why_is_given_time(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """The server's clock may be two seconds behind."""
    loqua.claims = lambda: {"iat": loqua.now() + 2}
    async with under_test.open() as api:
        await api.lease(caller)
        loqua.fail("context", *[error(401, "UNAUTHORIZED", "invalid token")] * 3)
        assert (await api.context(caller)).mode is Mode.FULL
    assert len(loqua.seen("user-token")) == 2


async def test_a_token_that_stays_early_until_the_deadline_degrades(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """A clock that is wrong by minutes ends no lesson; nothing was taken."""
    async with under_test.open() as api:
        await api.lease(caller)
        loqua.fail("sessions", *[error(401, "UNAUTHORIZED", "JWT not yet valid")] * 50)
        with pytest.raises(UnreachableError, match="JWT not yet valid") as early:
            await api.create_session(caller, RECORD, key="k")
    assert not early.value.sent


async def test_an_old_token_that_is_refused_twice_is_refused_at_once(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """One other token is tried once."""
    async with under_test.open() as api:
        await api.lease(caller)
        loqua.fail("progress", *[error(401, "UNAUTHORIZED", "invalid token")] * 9)
        with pytest.raises(RefusedError, match="UNAUTHORIZED: invalid token"):
            await api.send_progress(
                caller, session_id="s", status="in_progress", progress=Progress(), key="k"
            )
    assert [call.at for call in loqua.seen("progress")] == [0, 0]


@pytest.mark.parametrize(("body", "_kind"), NOT_THE_API)
async def test_a_401_that_explains_itself_is_believed_and_no_other(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller, body: bytes, _kind: str
) -> None:
    """A web server's own 401 is a proxy's word, however it comes; another token is tried first."""
    async with under_test.open() as api:
        await api.lease(caller)
        loqua.fail("progress", *[httpx.Response(401, content=body) for _ in range(9)])
        explained = read_error(body).message or read_error(body).code
        with pytest.raises(RefusedError if explained else UnreachableError):
            await api.send_progress(
                caller, session_id="s", status="in_progress", progress=Progress(), key="k"
            )
    assert len(loqua.seen("user-token")) == 2


@pytest.mark.parametrize("endpoint", ["user-token", "context", "health"])
@pytest.mark.parametrize("status", [400, 403, 404, 405, 421])
async def test_a_lesson_begins_although_a_proxy_answers_for_the_api(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller, endpoint: str, status: int
) -> None:
    """No learner is refused for it."""
    loqua.fail(endpoint, *[httpx.Response(status, text="page not found") for _ in range(9)])
    async with under_test.open() as api:
        if endpoint == "user-token":
            with pytest.raises(UnreachableError):
                await api.lease(caller)
            assert api.remembered(caller).mode is Mode.MOCK
            return
        await api.lease(caller)
        if endpoint == "context":
            assert (await api.context(caller)).mode is Mode.BASIC
        else:
            with pytest.raises(UnreachableError):
                await api.check_health(caller)
