"""Separation of learners' calls: no header or cookie of one reaches another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.unit.core.conftest import ApiUnderTest, Loqua, error

from loqua_host.contract.records import Progress
from loqua_host.core import Caller, LoquaApi
from loqua_host.errors import ApiError, UnreachableError

LEO, MIA = Caller("leo", "room-1", "agent"), Caller("mia", "room-2", "agent")
GATEWAY = {
    "Set-Cookie": "session=of-leo; Path=/; Domain=loqua.test",
    "WWW-Authenticate": 'Negotiate, NTLM, Basic realm="gateway", Digest realm="g", nonce="n"',
}
ANSWERS = {
    "success": None,
    "401": lambda: httpx.Response(401, headers=GATEWAY),
    "404": lambda: httpx.Response(404, headers=GATEWAY, text="404 page not found"),
    "407": lambda: httpx.Response(407, headers={**GATEWAY, "Proxy-Authenticate": "NTLM"}),
    "503": lambda: httpx.Response(503, headers=GATEWAY),
    "302": lambda: httpx.Response(302, headers={**GATEWAY, "Location": "http://loqua.test/login"}),
}


async def all_calls(api: LoquaApi, caller: Caller) -> None:
    """Make every call in a learner's name, whatever comes of it."""
    progress = Progress()
    for call in (
        lambda: api.lease(caller),
        lambda: api.context(caller),
        lambda: api.send_progress(
            caller, session_id="s", status="in_progress", progress=progress, key="k"
        ),
        lambda: api.check_health(caller),
    ):
        with contextlib.suppress(ApiError):
            await call()


@pytest.fixture
async def api(under_test: ApiUnderTest) -> AsyncIterator[LoquaApi]:
    """Yield the core behind a gateway that names each who comes to it."""
    under_test.loqua.headers |= GATEWAY
    async with under_test.open() as api:
        yield api


@pytest.mark.parametrize("answer", ANSWERS)
async def test_a_cookie_of_one_learner_is_never_sent_for_another(
    api: LoquaApi, loqua: Loqua, answer: str
) -> None:
    """Nor for the same one: whatever the gateway answers with it."""
    if make := ANSWERS[answer]:
        for endpoint in ("user-token", "context", "progress", "health"):
            loqua.fail(endpoint, make())
    await all_calls(api, LEO)
    await asyncio.sleep(30)
    await all_calls(api, MIA)
    assert len(loqua.calls) >= 8
    assert [call.headers["cookie"] for call in loqua.calls if "cookie" in call.headers] == []
    assert "login" not in {call.endpoint for call in loqua.calls}


async def test_a_challenge_is_never_answered(api: LoquaApi, loqua: Loqua) -> None:
    """An answer would authenticate the connection, which other lessons use next."""
    loqua.fail("health", error(401, "UNAUTHORIZED", "no"), httpx.Response(401, headers=GATEWAY))
    await all_calls(api, LEO)
    schemes = {call.headers["authorization"].split()[0] for call in loqua.calls}
    assert schemes == {"Bearer"}
    assert [call for call in loqua.calls if "proxy-authorization" in call.headers] == []


async def test_each_call_carries_its_own_learners_jwt(api: LoquaApi, loqua: Loqua) -> None:
    """Side by side, on the same connections."""
    callers = [Caller(f"user-{number}", f"room-{number}", "agent") for number in range(20)]
    loqua.latency = 0.1
    await asyncio.gather(*(all_calls(api, caller) for caller in callers))
    by_learner: dict[str, set[str]] = {}
    for call in loqua.seen("health"):
        by_learner.setdefault(call.body["userId"], set()).add(call.headers["authorization"])
    assert {len(tokens) for tokens in by_learner.values()} == {1}
    assert len(set.union(*by_learner.values())) == 20


async def test_a_password_in_a_netrc_file_stands_in_for_no_jwt(
    under_test: ApiUnderTest, loqua: Loqua, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether httpx looks for one or not."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine loqua.test login somebody password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    async with under_test.open() as api:
        await all_calls(api, LEO)
    assert {call.headers["authorization"].split()[0] for call in loqua.calls} == {"Bearer"}


async def test_nothing_that_was_kept_on_the_way_is_an_answer(api: LoquaApi, loqua: Loqua) -> None:
    """A cache in between may neither give nor keep one: history is asked to send nothing twice."""
    await all_calls(api, LEO)
    assert {call.headers["cache-control"] for call in loqua.calls} == {"no-cache, no-store"}


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        ({"success": True, "userId": "leo"}, True),
        ({"success": True}, True),
        ({"success": True, "userId": None}, True),
        ({"success": True, "userId": "mia"}, False),
    ],
)
async def test_an_answer_that_names_another_learner_is_none(
    under_test: ApiUnderTest, loqua: Loqua, answer: dict[str, Any], taken: bool
) -> None:
    """The API may have mixed up two learners."""
    async with under_test.open(retries=0) as api:
        await api.lease(LEO)
        loqua.fail("progress", httpx.Response(200, json=answer))
        with contextlib.nullcontext() if taken else pytest.raises(UnreachableError):
            await api.send_progress(
                LEO, session_id="s", status="in_progress", progress=Progress(), key="k"
            )


async def test_a_context_is_shared_by_one_learners_lessons_with_one_agent_alone(
    api: LoquaApi, loqua: Loqua
) -> None:
    """Another agent may see other things of the learner; another learner sees nothing."""
    callers = [LEO, Caller("leo", "room-9", "agent"), Caller("leo", "room-1", "other"), MIA]
    await asyncio.gather(*(api.lease(caller) for caller in callers))
    await asyncio.gather(*(api.context(caller) for caller in callers))
    asked = [call.headers["x-agent-id"] for call in loqua.seen("context")]
    assert sorted(asked) == ["agent", "agent", "other"]
