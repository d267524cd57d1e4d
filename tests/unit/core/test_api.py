"""The facade of the API: contexts, modes, records, health."""

import asyncio

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.core.conftest import ApiUnderTest, Loqua, error

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import Mode, Performance, Progress, SessionRecord
from loqua_host.core import Caller, LoquaApi
from loqua_host.core.degradation import fallback
from loqua_host.errors import RefusedError, UnreachableError
from loqua_host.testing.virtual_time import VirtualLoop

RECORD = SessionRecord(session_id="s-1", duration_minutes=1, overall_performance=Performance.GOOD)
OTHER_ROOM = Caller("user-1", "room-2", "loqua-spanish-tutor")


async def progress(api: LoquaApi, caller: Caller) -> None:
    """Call the API as a running lesson does every 30 s."""
    await api.send_progress(
        caller, session_id="s", status="in_progress", progress=Progress(), key="k"
    )


async def test_a_lesson_gets_its_context_in_the_learners_name(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """The context is asked for with the user's JWT and the agent's id."""
    await api.lease(caller)
    loaded = await api.context(caller)
    assert loaded.mode is Mode.FULL
    assert loaded.context.preferences.language_learning == "spanish"
    (call,) = loqua.seen("context")
    assert call.headers["authorization"].removeprefix("Bearer ") in loqua.tokens
    assert call.headers["x-agent-id"] == caller.agent_id


async def test_one_learner_in_two_rooms_makes_one_context_call(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """At once and one after the other."""
    loqua.latency = 1
    await asyncio.gather(api.lease(caller), api.lease(OTHER_ROOM))
    both = await asyncio.gather(api.context(caller), api.context(OTHER_ROOM))
    assert both[0] == both[1] == await api.context(caller)
    assert len(loqua.seen("context")) == 1


async def test_another_agent_asks_for_itself(api: LoquaApi, loqua: Loqua, caller: Caller) -> None:
    """Agents may have different permissions."""
    await api.context(caller)
    await api.context(Caller(caller.user_id, caller.room, "pronunciation"))
    assert [call.headers["x-agent-id"] for call in loqua.seen("context")] == [
        "loqua-spanish-tutor",
        "pronunciation",
    ]


async def test_a_learner_who_leaves_does_not_spoil_the_call_for_another(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """The shared fetch survives its leader."""
    await asyncio.gather(api.lease(caller), api.lease(OTHER_ROOM))
    loqua.latency = 1
    leader = asyncio.create_task(api.context(caller))
    await asyncio.sleep(0.1)
    follower = asyncio.create_task(api.context(OTHER_ROOM))
    await asyncio.sleep(0.1)
    leader.cancel()
    assert (await follower).mode is Mode.FULL
    assert len(loqua.seen("context")) == 1


@pytest.mark.parametrize(
    ("cached", "token", "mode"),
    [
        (True, True, Mode.CACHE),
        (True, False, Mode.CACHE),
        (False, True, Mode.BASIC),
        (False, False, Mode.MOCK),
    ],
)
def test_without_the_api_the_best_that_is_left_is_used(
    cached: bool,
    token: bool,
    mode: Mode,
) -> None:
    """A known context, else a known learner, else nothing."""
    assert fallback(cached=cached, token=token) is mode


async def test_an_outage_degrades_step_by_step_and_ends(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Full, cache with history, cache with preferences, basic; and full again."""
    modes: list[tuple[float, Mode]] = []
    async with under_test.open() as api:
        loqua.token_life = 7200
        api.subscribe(lambda _, mode: modes.append((under_test.clock.monotonic(), mode)))
        await api.lease(caller)
        whole = (await api.context(caller)).context
        loqua.down = True
        await asyncio.sleep(400)
        loaded = await api.context(caller)
        assert (loaded.mode, loaded.context) == (Mode.CACHE, whole)
        await asyncio.sleep(300)
        loaded = await api.context(caller)
        assert loaded.mode is Mode.CACHE
        assert loaded.context == LearnerContext(preferences=whole.preferences)
        await asyncio.sleep(3000)
        loaded = await api.context(caller)
        assert (loaded.mode, loaded.context) == (Mode.BASIC, LearnerContext())
        assert api.mode(caller) is Mode.BASIC
        loqua.down = False
        await asyncio.sleep(30)
        assert (await api.context(caller)).mode is Mode.FULL
    assert [mode for _, mode in modes] == [Mode.CACHE, Mode.BASIC, Mode.FULL]
    changes = [(line["before"], line["mode"]) for line in under_test.logged("mode.changed")]
    assert changes == [("full", "cache"), ("cache", "basic"), ("basic", "full")]
    assert [under_test.counted("mode_changes_total", mode=mode) for mode in Mode] == [1, 1, 1, 0]


async def test_a_running_lesson_hears_of_down_and_up_again(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Each change once, by its next call; other lessons hear nothing of it."""
    modes: list[tuple[Caller, Mode]] = []
    async with under_test.open() as api:
        await api.lease(caller)
        await api.lease(OTHER_ROOM)
        api.subscribe(lambda who, mode: modes.append((who, mode)))
        loqua.down = True
        for _ in range(3):
            with pytest.raises(UnreachableError):
                await progress(api, caller)
            await asyncio.sleep(30)
        loqua.down = False
        for _ in range(3):
            await progress(api, caller)
        assert modes == [(caller, Mode.BASIC), (caller, Mode.FULL)]


async def test_a_context_from_the_cache_does_not_pretend_that_the_api_is_back(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """The mode is what the last call found."""
    await api.lease(caller)
    await api.context(caller)
    loqua.down = True
    with pytest.raises(UnreachableError):
        await progress(api, caller)
    assert (await api.context(caller)).mode is Mode.CACHE
    await api.lease(caller)
    assert api.mode(caller) is Mode.CACHE


async def test_a_lesson_that_begins_without_the_api_gets_its_token_later(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Mock mode: no token, no context, no error; basic with a token, full with the context."""
    modes: list[Mode] = []
    async with under_test.open() as api:
        api.subscribe(lambda _, mode: modes.append(mode))
        loqua.down = True
        with pytest.raises(UnreachableError):
            await api.lease(caller)
        assert await api.context(caller) == await api.context(caller)
        assert (await api.context(caller)).mode is api.mode(caller) is Mode.MOCK
        trying = asyncio.create_task(api.lease_patiently(caller))
        await asyncio.sleep(600)
        assert not trying.done()
        loqua.down = False
        await asyncio.sleep(30)
        await trying
        await progress(api, caller)
        assert modes == [Mode.BASIC]
        assert (await api.context(caller)).mode is Mode.FULL
        assert modes == [Mode.BASIC, Mode.FULL]
        api.release(caller)
        assert api.mode(caller) is not Mode.FULL


@pytest.mark.parametrize(
    "fault", [httpx.Response(500), httpx.Response(200, content=b"{"), httpx.Response(200, json={})]
)
async def test_a_lesson_whose_context_could_not_be_loaded_is_not_full_until_it_is(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller, fault: httpx.Response
) -> None:
    """Other successful calls do not change that; other lessons are not affected."""
    modes: list[Mode] = []
    async with under_test.open(retries=0) as api:
        api.subscribe(lambda who, mode: modes.append(mode) if who == caller else None)
        await api.lease(caller)
        loqua.fail("context", fault)
        assert (await api.context(caller)).mode is Mode.BASIC
        await progress(api, caller)
        await api.check_health(caller)
        loqua.down = True
        with pytest.raises(UnreachableError):
            await progress(api, caller)
        loqua.down = False
        await progress(api, caller)
        assert api.mode(caller) is Mode.BASIC
        other = Caller("user-2", caller.room, caller.agent_id)
        await api.lease(other)
        assert (await api.context(other)).mode is Mode.FULL
        assert (await api.context(caller)).mode is Mode.FULL
        assert modes == [Mode.BASIC, Mode.FULL]


async def test_a_lesson_that_was_given_an_old_context_stays_in_cache_mode(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Until the API has given it a new one."""
    async with under_test.open(retries=0) as api:
        await api.lease(caller)
        await api.context(caller)
        api.release(caller)
        await asyncio.sleep(400)
        await api.lease(caller)
        loqua.fail("context", httpx.Response(502))
        assert (await api.context(caller)).mode is Mode.CACHE
        await api.check_health(caller)
        assert api.mode(caller) is Mode.CACHE
        assert (await api.context(caller)).mode is Mode.FULL


async def test_patience_ends_when_the_api_says_no(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Refused is never waited out."""
    async with under_test.open() as api:
        loqua.fail("user-token", *[httpx.Response(500)] * 4, error(404, "NOT_FOUND", "no"))
        with pytest.raises(RefusedError):
            await api.lease_patiently(caller)


async def test_a_returning_learner_is_known_while_the_exchange_is_down(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """The cached context of an earlier lesson serves the next one, marked as cached."""
    await api.lease(caller)
    whole = (await api.context(caller)).context
    api.release(caller)
    loqua.down = True
    with pytest.raises(UnreachableError):
        await api.lease(OTHER_ROOM)
    loaded = await api.context(OTHER_ROOM)
    assert (loaded.mode, loaded.context) == (Mode.CACHE, whole)


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_refused_context_ends_the_lesson_and_is_not_served_from_memory(
    api: LoquaApi, loqua: Loqua, caller: Caller, status: int
) -> None:
    """Refused never degrades: not even to what was known a minute ago."""
    await api.lease(caller)
    await api.context(caller)
    await asyncio.sleep(301)
    loqua.fail("context", error(status, "NO", "no longer"))
    with pytest.raises(RefusedError):
        await api.context(caller)
    loqua.down = True
    assert (await api.context(caller)).mode is Mode.BASIC


async def test_another_learners_context_is_an_outage_not_an_answer(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """It is never shown."""
    async with under_test.open() as api:
        await api.lease(caller)
        stray = {"user_id": "user-2", **loqua.context}
        loqua.fail("context", *[httpx.Response(200, json=stray) for _ in range(4)])
        loaded = await api.context(caller)
    assert (loaded.mode, loaded.context) == (Mode.BASIC, LearnerContext())


async def test_a_record_is_created_in_the_learners_name(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """By default; and the next lesson's context knows it."""
    await api.lease(caller)
    await api.context(caller)
    await api.create_session(caller, RECORD, key="key-1")
    (call,) = loqua.seen("sessions")
    assert call.headers["authorization"].removeprefix("Bearer ") in loqua.tokens
    assert call.headers["idempotency-key"] == "key-1"
    history = (await api.context(caller)).context.session_history
    assert [past.session_id for past in history] == ["s-1"]


async def test_a_record_is_created_in_the_agents_name_where_config_says_so(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """`access.sessions: service`: no user token is needed for it."""
    async with under_test.open(access={"sessions": "service"}) as api:
        await api.create_session(caller, RECORD, key="key-1")
        await progress(api, caller)
    assert loqua.seen("sessions")[0].headers["authorization"] == "Bearer agent-jwt"
    assert loqua.seen("progress")[0].headers["authorization"] != "Bearer agent-jwt"
    assert [call.endpoint for call in loqua.calls] == ["sessions", "user-token", "progress"]


@pytest.mark.parametrize(
    ("endpoint", "faults"),
    [
        ("user-token", [error(404, "NOT_FOUND", "no")]),
        ("user-token", [error(401, "AGENT", "no"), error(401, "AGENT", "no")]),
        ("sessions", [error(401, "TOKEN", "no"), error(401, "TOKEN", "no")]),
    ],
)
async def test_the_agents_own_name_stands_in_for_a_token_that_is_refused(
    under_test: ApiUnderTest,
    loqua: Loqua,
    caller: Caller,
    endpoint: str,
    faults: list[httpx.Response],
) -> None:
    """`access.sessions: user_then_service`: after a fresh exchange, or where that is refused."""
    loqua.fail(endpoint, *faults)
    async with under_test.open(access={"sessions": "user_then_service"}) as api:
        await api.create_session(caller, RECORD, key="key-1")
    last = loqua.seen("sessions")[-1]
    assert last.headers["authorization"] == "Bearer agent-jwt"
    assert last.headers["idempotency-key"] == "key-1"
    assert len(under_test.logged("session.recorded_by_service")) == 1


@pytest.mark.parametrize(
    ("endpoint", "faults", "raised"),
    [
        ("user-token", [httpx.Response(503)] * 4, UnreachableError),
        ("sessions", [httpx.Response(503)] * 4, UnreachableError),
        ("sessions", [error(400, "INVALID", "no")], RefusedError),
        ("sessions", [error(403, "PERMISSION", "no")], RefusedError),
    ],
)
async def test_the_agents_own_name_stands_in_for_nothing_else(
    under_test: ApiUnderTest,
    loqua: Loqua,
    caller: Caller,
    endpoint: str,
    faults: list[httpx.Response],
    raised: type[Exception],
) -> None:
    """It replaces neither an unreachable API nor the API's refusals."""
    loqua.fail(endpoint, *faults)
    async with under_test.open(access={"sessions": "user_then_service"}) as api:
        with pytest.raises(raised):
            await api.create_session(caller, RECORD, key="key-1")
    assert "Bearer agent-jwt" not in [
        one.headers["authorization"] for one in loqua.seen("sessions")
    ]


async def test_after_a_lost_response_the_history_decides(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """Asked for just now, whatever the cache holds."""
    await api.lease(caller)
    await api.context(caller)
    assert not await api.session_known(caller, "s-1")
    loqua.fail("sessions", 5.0)
    with pytest.raises(UnreachableError) as unreachable:
        await api.create_session(caller, RECORD, key="key-1")
    assert unreachable.value.sent
    loqua.sessions.append("s-1")
    assert await api.session_known(caller, "s-1")
    assert len(loqua.seen("context")) == 3


async def test_a_call_long_after_its_lesson_exchanges_for_itself(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """A delivery after a restart of the host; no mode is followed for it."""
    await api.create_session(caller, RECORD, key="key-1")
    assert [call.endpoint for call in loqua.calls] == ["user-token", "sessions"]
    assert api.mode(caller) is Mode.MOCK


async def test_health_gives_the_agents_permissions(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """More than required is no harm."""
    loqua.permissions.append("more")
    assert await api.check_health(caller) == {
        "user.progress",
        "session.create",
        "user.context",
        "more",
    }


async def test_a_missing_permission_is_a_named_refusal(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """It names the permission and the key in config."""
    loqua.permissions.remove("session.create")
    with pytest.raises(RefusedError, match=r"lacks session\.create.*api\.required_permissions"):
        await api.check_health(caller)


async def test_every_call_can_degrade_and_restore_the_mode(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Whichever call finds the API down or up again, the lesson hears it."""
    async with under_test.open(retries=0, breaker={"failures": 99}) as api:
        await api.lease(caller)
        for call in (
            lambda: progress(api, caller),
            lambda: api.create_session(caller, RECORD, key="k"),
            lambda: api.session_known(caller, "s"),
            lambda: api.check_health(caller),
        ):
            loqua.down = True
            with pytest.raises(UnreachableError):
                await call()
            assert api.mode(caller) is not Mode.FULL
            loqua.down = False
            await call()
            assert api.mode(caller) is Mode.FULL


async def test_what_it_reports_can_be_counted(under_test: ApiUnderTest, caller: Caller) -> None:
    """Every call with endpoint, status, seconds and attempt."""
    async with under_test.open() as api:
        under_test.loqua.latency = 0.25
        await api.lease(caller)
    assert under_test.logged("api.called")[0] == {
        "event": "api.called",
        "log_level": "info",
        "endpoint": "user-token",
        "agent_id": "loqua-spanish-tutor",
        "user_id": "user-1",
        "status": 200,
        "failure": None,
        "why": None,
        "attempt": 1,
        "seconds": 0.25,
    }


@settings(max_examples=15)
@given(
    periods=st.lists(st.tuples(st.booleans(), st.integers(1, 20)), min_size=1, max_size=5),
    life=st.sampled_from([60, 700, 3600]),
)
def test_a_lesson_outlives_any_sequence_of_outages(
    periods: list[tuple[bool, int]], life: int
) -> None:
    """Up or down for so many ticks: never refused, full whenever the last tick got through.

    A minute after the API is back every tick gets through, whatever happened before.
    """

    async def run() -> None:
        under_test, caller = ApiUnderTest(), Caller("user-1", "room", "agent")
        under_test.loqua.token_life = life
        async with under_test.open() as api:
            await api.lease(caller)
            await api.context(caller)
            for down, ticks in periods:
                under_test.loqua.down = down
                for tick in range(ticks):
                    await asyncio.sleep(30)
                    try:
                        await progress(api, caller)
                    except UnreachableError:
                        assert down or tick < 2
                        assert api.mode(caller) is not Mode.FULL
                    else:
                        assert not down
                        assert api.mode(caller) is Mode.FULL
        seconds = asyncio.get_running_loop().time()
        good = [
            under_test.counted("token_exchanges_total", kind=kind, outcome="ok") or 0.0
            for kind in ("first", "refresh")
        ]
        assert 1 <= sum(good) <= 2 + seconds / (life / 2)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


async def test_a_learner_who_returns_while_the_api_is_down_is_still_known(
    api: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """Even without a token, what the cache has serves; nobody is asked."""
    await api.lease(caller)
    await api.context(caller)
    api.release(caller)
    loqua.down = True
    with pytest.raises(UnreachableError):
        await api.lease(caller)
    asked = len(loqua.seen("context"))
    known = api.remembered(caller)
    assert (known.mode, len(loqua.seen("context"))) == (Mode.CACHE, asked)
    assert known.context.preferences.language_learning == "spanish"
    assert api.remembered(OTHER_ROOM).mode is Mode.CACHE
    stranger = api.remembered(Caller("user-9", "room-9", caller.agent_id))
    assert (stranger.mode, stranger.context) == (Mode.MOCK, LearnerContext())


async def test_a_context_that_another_lesson_loaded_makes_a_lesson_full(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """The same learner's in another room: what is fresh need not be loaded twice."""
    async with under_test.open(retries=0) as api:
        await api.lease(caller)
        loqua.fail("context", httpx.Response(502))
        assert (await api.context(caller)).mode is Mode.BASIC
        await api.check_health(caller)
        await api.context(OTHER_ROOM)
        assert api.mode(caller) is Mode.BASIC
        assert (await api.context(caller)).mode is Mode.FULL
