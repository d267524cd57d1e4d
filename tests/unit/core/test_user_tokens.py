"""User tokens: exchanged once, shared, refreshed in time, then deleted."""

import asyncio
import gc
from dataclasses import replace

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.conftest import (
    ApiUnderTest,
    Loqua,
    error,
    jwt,
)

from loqua_host.contract.records import Progress
from loqua_host.core import Caller, LoquaApi
from loqua_host.core.user_tokens import UserToken, refresh_at
from loqua_host.errors import RefusedError, TokenError, UnreachableError
from loqua_host.testing.virtual_time import VirtualLoop


async def progress(api: LoquaApi, caller: Caller) -> None:
    """Call the API in the learner's name."""
    await api.send_progress(
        caller, session_id="s", status="in_progress", progress=Progress(), key="k"
    )


def exchanges(loqua: Loqua) -> int:
    """Count the exchanges that reached the API."""
    return len(loqua.seen("user-token"))


async def test_the_agent_asks_in_its_own_name(api: LoquaApi, loqua: Loqua, caller: Caller) -> None:
    """The exchange carries the agent's JWT, its id and an idempotency key."""
    await api.lease(caller)
    (call,) = loqua.seen("user-token")
    assert call.headers["authorization"] == "Bearer agent-jwt"
    assert call.headers["x-agent-id"] == "loqua-spanish-tutor"
    assert call.headers["idempotency-key"]
    assert call.body == {
        "room_name": "room-1",
        "user_id": "user-1",
        "agent_id": "loqua-spanish-tutor",
    }


async def test_a_hundred_lessons_make_a_hundred_exchanges(api: LoquaApi, loqua: Loqua) -> None:
    """One each, no more."""
    callers = [Caller(f"user-{number}", f"room-{number}", "agent") for number in range(100)]
    await asyncio.gather(*(api.lease(caller) for caller in callers))
    await asyncio.gather(*(progress(api, caller) for caller in callers))
    assert exchanges(loqua) == 100


async def test_a_hundred_callers_of_one_lesson_make_one_exchange(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """Single flight, and the token is shared afterwards."""
    loqua.latency = 0.5
    await asyncio.gather(*(api.lease(caller) for _ in range(100)))
    await asyncio.gather(*(progress(api, caller) for _ in range(100)))
    assert exchanges(loqua) == 1


async def test_a_token_is_kept_until_its_last_lease_is_released(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """The lesson's delivery may outlast the lesson."""
    await api.lease(caller)
    await api.lease(caller)
    api.release(caller)
    await progress(api, caller)
    assert exchanges(loqua) == 1
    api.release(caller)
    api.release(caller)
    await progress(api, caller)
    assert exchanges(loqua) == 2
    await progress(api, caller)
    assert exchanges(loqua) == 3


async def test_the_least_life_left_of_the_tokens_held_is_reported(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """None while there are none."""
    assert api.user_token_seconds_left() is None
    await api.lease(caller)
    loqua.token_life = 7200
    await api.lease(replace(caller, room="another"))
    await asyncio.sleep(600)
    assert api.user_token_seconds_left() == pytest.approx(3000, abs=2)
    api.release(caller)
    assert api.user_token_seconds_left() == pytest.approx(6600, abs=2)


async def test_a_forgotten_token_is_nowhere_in_memory(api: LoquaApi, caller: Caller) -> None:
    """Nothing refers to it after the last release."""
    await api.lease(caller)
    api.release(caller)
    await asyncio.sleep(0)
    gc.collect()
    assert not [
        held for held in gc.get_objects() if isinstance(held, UserToken) and held.expires_at > 9
    ]


async def test_a_lease_that_failed_holds_nothing(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Refused, unreachable or cancelled: there is nothing to release."""
    async with under_test.open(retries=0) as api:
        loqua.fail("user-token", error(404, "NOT_FOUND", "no such user"))
        with pytest.raises(RefusedError, match="404: NOT_FOUND: no such user"):
            await api.lease(caller)
        loqua.fail("user-token", httpx.Response(500))
        with pytest.raises(UnreachableError):
            await api.lease(caller)
        loqua.fail("user-token", 3.0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(api.lease(caller), 1)
        await asyncio.sleep(7200)
        assert exchanges(loqua) == 3


@pytest.mark.parametrize(
    ("life", "refreshed_after"), [(3600, 3300), (600, 300), (500, 250), (60, 30)]
)
async def test_a_token_is_refreshed_before_it_expires(
    api: LoquaApi, loqua: Loqua, caller: Caller, life: float, refreshed_after: float
) -> None:
    """Five minutes ahead, at half-life of a shorter life; without any call."""
    loqua.token_life = life
    await api.lease(caller)
    await asyncio.sleep(refreshed_after - 0.1)
    assert exchanges(loqua) == 1
    await asyncio.sleep(0.2)
    assert exchanges(loqua) == 2
    await asyncio.sleep(refreshed_after)
    assert exchanges(loqua) == 3


@given(
    now=st.integers(0, 10**6),
    lifetime=st.integers(1, 10**6),
    before=st.integers(1, 10**4),
)
def test_the_moment_to_refresh_lies_within_the_second_half(
    now: int, lifetime: int, before: int
) -> None:
    """Never before half-life, never earlier than asked, never after expiry."""
    moment = refresh_at(now, lifetime, before)
    assert now + lifetime / 2 <= moment <= now + lifetime
    assert moment >= now + lifetime - before


async def test_a_refresh_that_fails_is_tried_until_it_succeeds(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """The old token serves meanwhile; the lesson notices nothing."""
    async with under_test.open(retries=0) as api:
        await api.lease(caller)
        loqua.fail("user-token", *[httpx.Response(500)] * 4)
        await asyncio.sleep(3301)
        await progress(api, caller)
        await asyncio.sleep(120)
        await progress(api, caller)
    assert exchanges(loqua) == 6
    assert [line["failures"] for line in under_test.logged("token.refresh_failed")] == [
        1,
        2,
        3,
        4,
    ]
    assert (
        len(under_test.logged("token.exchanged")) == len(under_test.logged("token.refreshed")) == 1
    )
    assert under_test.counted("token_exchanges_total", kind="first", outcome="ok") == 1
    assert under_test.counted("token_exchanges_total", kind="refresh", outcome="ok") == 1
    assert under_test.counted("token_exchanges_total", kind="refresh", outcome="failed") == 4
    assert all(call.headers["authorization"] != "" for call in loqua.seen("progress"))


async def test_a_refresh_that_is_refused_is_tried_rarely(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """The old token serves to its end; the API is not pestered with what it has declined."""
    async with under_test.open() as api:
        await api.lease(caller)
        loqua.fail("user-token", *[error(403, "FORBIDDEN", "no longer") for _ in range(99)])
        await asyncio.sleep(3590)
        await progress(api, caller)
        assert exchanges(loqua) == 1 + 5
        await asyncio.sleep(20)
        with pytest.raises(RefusedError, match="no longer"):
            await progress(api, caller)


async def test_a_token_that_expired_all_the_same_is_exchanged_by_the_next_call(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """The synchronous refresh, when the background one did not get through."""
    async with under_test.open(retries=0, breaker={"failures": 1000}) as api:
        await api.lease(caller)
        await asyncio.sleep(3299)
        loqua.down = True
        await asyncio.sleep(302)
        loqua.down = False
        before = exchanges(loqua)
        await asyncio.gather(*(progress(api, caller) for _ in range(10)))
        assert exchanges(loqua) == before + 1
        assert len(loqua.seen("progress")) == 10


async def test_a_401_leads_to_one_exchange_and_one_repeat(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """A token revoked in the middle of a lesson is replaced."""
    await api.lease(caller)
    loqua.tokens.clear()
    await progress(api, caller)
    assert exchanges(loqua) == 2
    assert len(loqua.seen("progress")) == 2
    await progress(api, caller)
    assert exchanges(loqua) == 2


async def test_a_hundred_401s_lead_to_one_exchange(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """All who were refused share the new token."""
    await api.lease(caller)
    loqua.tokens.clear()
    loqua.latency = 0.1
    await asyncio.gather(*(progress(api, caller) for _ in range(20)))
    assert exchanges(loqua) == 2
    assert len(loqua.seen("progress")) == 40


async def test_a_second_401_is_a_refusal(api: LoquaApi, loqua: Loqua, caller: Caller) -> None:
    """After one new exchange the API's no is believed."""
    await api.lease(caller)
    loqua.fail("progress", *[error(401, "UNAUTHORIZED", "go away")] * 9)
    with pytest.raises(RefusedError, match="go away") as refused:
        await progress(api, caller)
    assert refused.value.status == 401
    assert len(loqua.seen("progress")) == 2
    assert exchanges(loqua) == 2


async def test_a_refused_agent_token_is_a_refusal_at_once(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """There is no other to try."""
    loqua.agent_jwt = "another"
    async with under_test.open() as api:
        with pytest.raises(RefusedError) as refused:
            await api.lease(caller)
    assert (refused.value.status, refused.value.endpoint) == (401, "user-token")
    assert exchanges(loqua) == 1


async def test_while_the_agent_token_is_rotated_the_one_before_is_tried(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """The API may not know the new one yet."""
    under_test.environ |= {"AGENT_JWT_TOKEN": "new", "AGENT_JWT_TOKEN_PREVIOUS": "agent-jwt"}
    async with under_test.open() as api:
        await api.lease(caller)
    assert [call.headers["authorization"] for call in loqua.seen("user-token")] == [
        "Bearer new",
        "Bearer agent-jwt",
    ]


async def test_while_the_shared_secret_is_rotated_both_decrypt(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """The API may not know the new one yet."""
    under_test.environ |= {"SHARED_SECRET": "new", "SHARED_SECRET_PREVIOUS": "shared-secret"}
    async with under_test.open() as api:
        await api.lease(caller)
        loqua.secret = "new"
        await api.lease(Caller("user-2", "room-2", "agent"))


@pytest.mark.parametrize("skew", [-86_400.0, -300.0, 0.0, 300.0, 7200.0, 86_400.0])
async def test_a_wrong_clock_of_ours_does_not_matter(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller, skew: float
) -> None:
    """A token's life is measured by the API's Date header, not by this machine's clock."""
    under_test.clock.skew = skew
    async with under_test.open() as api:
        await api.lease(caller)
        await asyncio.sleep(3290)
        assert exchanges(loqua) == 1
        await asyncio.sleep(20)
        assert exchanges(loqua) == 2
    assert under_test.logged("token.exchanged")[0]["skew"] == pytest.approx(-skew, abs=1)


@pytest.mark.parametrize(
    "date", ["Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", ""]
)
async def test_an_absurd_date_neither_shortens_nor_lengthens_a_tokens_life(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller, date: str
) -> None:
    """A gateway without a clock: ours counts."""
    loqua.headers["Date"] = date
    async with under_test.open() as api:
        await api.lease(caller)
        await asyncio.sleep(3290)
        assert exchanges(loqua) == 1
        await asyncio.sleep(20)
        assert exchanges(loqua) == 2


async def test_without_a_date_our_own_clock_counts(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """A header that is no date is none."""
    loqua.headers["Date"] = "yesterday"
    under_test.clock.skew = 7200
    async with under_test.open() as api:
        with pytest.raises(TokenError) as refused:
            await api.lease(caller)
    assert refused.value.cause == "expired"


async def test_an_undecipherable_token_refuses_the_lesson(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller, logs: list[object]
) -> None:
    """The cause is named; token, ciphertext and key are nowhere in log or error."""
    loqua.secret = "another-secret"
    async with under_test.open() as api:
        with pytest.raises(TokenError, match="make SHARED_SECRET the same") as refused:
            await api.lease(caller)
    assert refused.value.cause == "wrong_shared_secret"
    said = f"{refused.value!r} {logs}"
    assert not any(
        secret in said for secret in ["shared-secret", "agent-jwt", "eyJ", *loqua.tokens]
    )


async def test_no_log_line_of_a_whole_lesson_holds_a_secret(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller, logs: list[object]
) -> None:
    """Token, ciphertext and key are nowhere in it."""
    async with under_test.open() as api:
        await api.lease(caller)
        await api.context(caller)
        await progress(api, caller)
        await asyncio.sleep(7200)
    said = repr(logs)
    assert "token.refreshed" in said
    assert not any(
        secret in said for secret in ["shared-secret", "agent-jwt", "eyJ", *loqua.tokens]
    )


async def test_the_end_of_the_block_leaves_no_task(
    under_test: ApiUnderTest, caller: Caller
) -> None:
    """Whoever opens closes."""
    before = asyncio.all_tasks()
    async with under_test.open() as api:
        await api.lease(caller)
        assert len(asyncio.all_tasks()) > len(before)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("left", "level"), [(8 * 86_400, "debug"), (6 * 86_400, "warning"), (-60, "warning")]
)
async def test_the_agents_own_token_is_watched(
    under_test: ApiUnderTest, logs: list[dict[str, object]], left: float, level: str
) -> None:
    """Every hour its life is reported, as a warning in its last week."""
    under_test.environ["AGENT_JWT_TOKEN"] = jwt(exp=under_test.clock.now() + left)
    async with under_test.open() as api:
        await asyncio.sleep(3601)
        assert await api.agent_token_seconds_left() == left - 3601
    watched = [line for line in logs if line["event"] == "agent_token.watched"]
    assert [(line["seconds_left"], line["log_level"]) for line in watched] == [
        (left, level),
        (left - 3600, level),
    ]


async def test_an_agent_token_that_is_no_jwt_has_no_known_life(api: LoquaApi) -> None:
    """Then nothing is watched."""
    assert await api.agent_token_seconds_left() is None


steps = st.lists(
    st.tuples(st.sampled_from(["lease", "release", "call", "wait", "revoke"]), st.integers(0, 1)),
    max_size=25,
)


@settings(max_examples=30)
@given(steps=steps)
def test_leases_and_releases_in_any_order_keep_the_count(steps: list[tuple[str, int]]) -> None:
    """A token is held exactly while leases outnumber releases, and every call gets through."""

    async def run() -> None:
        under_test = ApiUnderTest()
        callers = [Caller(f"user-{number}", "room", "agent") for number in range(2)]
        leases = [0, 0]
        async with under_test.open(rate_limit=1000) as api:
            for step, number in steps:
                caller = callers[number]
                if step == "lease":
                    await api.lease(caller)
                    leases[number] += 1
                elif step == "release":
                    api.release(caller)
                    leases[number] = max(0, leases[number] - 1)
                elif step == "wait":
                    await asyncio.sleep(1700)
                elif step == "revoke":
                    under_test.loqua.tokens.clear()
                else:
                    before = exchanges(under_test.loqua)
                    await progress(api, caller)
                    assert exchanges(under_test.loqua) - before <= 1
                held = [api._tokens.leased(caller) for caller in callers]
                assert held == [bool(count) for count in leases]

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())
