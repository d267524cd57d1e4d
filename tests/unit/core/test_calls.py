"""One call: its protections and its possible results."""

import asyncio
import contextlib
import copy
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from tests.unit.core.conftest import ApiUnderTest, Loqua, error

from loqua_host.contract.records import Mode, Performance, Progress, SessionRecord
from loqua_host.core import Caller, CoreSettings, LoquaApi
from loqua_host.core.breaker import BreakerState
from loqua_host.core.endpoints import EndpointStatus
from loqua_host.core.settings import Access, BreakerSettings, CacheLives
from loqua_host.errors import RefusedError, SuspendedError, UnreachableError
from loqua_host.testing.virtual_time import VirtualLoop

RECORD = SessionRecord(session_id="s", duration_minutes=1, overall_performance=Performance.GOOD)
REQUEST = httpx.Request("POST", "http://loqua.test")
FAULTS: list[Callable[[], Any]] = [
    lambda: httpx.ReadError("reset"),
    lambda: httpx.RemoteProtocolError("truncated"),
    lambda: httpx.ReadTimeout("silence"),
    lambda: httpx.DecodingError("garbled"),
    lambda: httpx.ConnectError("refused"),
    lambda: httpx.Response(500),
    lambda: httpx.Response(503),
    lambda: httpx.Response(429),
    lambda: httpx.Response(302, headers={"location": "http://elsewhere.test"}),
    lambda: httpx.Response(200, content=b"<html>"),
    lambda: httpx.Response(200, content=b"{" + b" " * (1 << 20)),
    lambda: 60.0,
]


def now() -> float:
    """Return the virtual second."""
    return asyncio.get_running_loop().time()


async def progress(api: LoquaApi, caller: Caller) -> None:
    """Make a call that may be repeated."""
    await api.send_progress(
        caller, session_id="s", status="in_progress", progress=Progress(), key="key-1"
    )


@pytest.fixture
async def leased(api: LoquaApi, caller: Caller) -> LoquaApi:
    """Return the core with the caller's token held."""
    await api.lease(caller)
    return api


@pytest.mark.parametrize("fault", FAULTS)
async def test_three_faults_in_a_row_are_repeated_away(
    leased: LoquaApi,
    loqua: Loqua,
    under_test: ApiUnderTest,
    caller: Caller,
    fault: Callable[[], Any],
) -> None:
    """The fourth attempt succeeds, with the same key; every attempt is reported."""
    first = fault()
    faults = [first] if isinstance(first, float) else [fault() for _ in range(3)]
    loqua.fail("progress", *faults)
    await progress(leased, caller)
    calls = loqua.seen("progress")
    assert len(calls) == len(faults) + 1
    assert {call.headers["idempotency-key"] for call in calls} == {"key-1"}
    events = under_test.logged("api.called")[1:]
    assert [event["attempt"] for event in events] == [*range(1, len(calls) + 1)]
    assert [event["failure"] for event in events] == ["UnreachableError"] * len(faults) + [None]
    assert events[-1]["status"] == 200
    assert under_test.counted("api_retries_total", endpoint="progress") == len(faults)
    assert leased.mode(caller) is Mode.FULL


@pytest.mark.parametrize("fault", FAULTS)
async def test_four_faults_in_a_row_are_an_outage(
    leased: LoquaApi, loqua: Loqua, caller: Caller, fault: Callable[[], Any]
) -> None:
    """Three repeats at most, within the deadline, then the named error."""
    loqua.fail("progress", *[fault() for _ in range(10)])
    begun = now()
    with pytest.raises(UnreachableError) as unreachable:
        await progress(leased, caller)
    assert unreachable.value.endpoint == "progress"
    assert now() - begun <= 10
    assert len(loqua.seen("progress")) == (3 if isinstance(fault(), float) else 4)


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 413, 415, 422, 451])
async def test_a_refusal_is_final(
    leased: LoquaApi, loqua: Loqua, under_test: ApiUnderTest, caller: Caller, status: int
) -> None:
    """One request; the API's reason is shown; the mode does not change."""
    loqua.fail("progress", error(status, "INVALID_STATUS", "data.status is unknown"))
    with pytest.raises(RefusedError) as refused:
        await progress(leased, caller)
    assert str(refused.value) == f"progress: {status}: INVALID_STATUS: data.status is unknown"
    assert refused.value.status == status
    assert under_test.logged("api.called")[-1]["why"] == str(refused.value)
    assert len(loqua.seen("progress")) == 1
    assert leased.mode(caller) is Mode.FULL


@pytest.mark.parametrize(
    ("fault", "sent", "times"),
    [
        (lambda: httpx.ReadError("reset"), True, 1),
        (lambda: httpx.Response(500), True, 1),
        (lambda: httpx.Response(502), True, 1),
        (lambda: httpx.Response(200, content=b"{"), True, 1),
        (lambda: 60.0, True, 1),
        (lambda: httpx.ConnectError("refused"), False, 4),
        (lambda: httpx.ConnectTimeout("silence"), False, 4),
        (lambda: httpx.Response(429), False, 4),
        (lambda: httpx.Response(408), False, 4),
        (lambda: httpx.Response(425), False, 4),
        (lambda: httpx.Response(307), False, 4),
    ],
)
async def test_a_record_that_may_have_been_taken_is_not_sent_again(
    leased: LoquaApi,
    loqua: Loqua,
    caller: Caller,
    fault: Callable[[], Any],
    sent: bool,
    times: int,
) -> None:
    """What the API surely did not take is; the error tells which it was."""
    loqua.fail("sessions", *[fault() for _ in range(4)])
    with pytest.raises(UnreachableError) as unreachable:
        await leased.create_session(caller, RECORD, key="key-1")
    assert unreachable.value.sent is sent
    assert len(loqua.seen("sessions")) == times


async def test_doubt_stays_through_later_certainty(
    leased: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """Taken perhaps by the first attempt, surely not by the others: perhaps taken."""
    loqua.fail("progress", httpx.ReadError("reset"), *[httpx.ConnectError("refused")] * 3)
    with pytest.raises(UnreachableError) as unreachable:
        await progress(leased, caller)
    assert unreachable.value.sent is True


async def test_a_deadline_that_strikes_between_attempts_remembers(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Whether the API may have taken it is known even then."""
    async with under_test.open(backoff=8, breaker={"failures": 99}) as api:
        await api.lease(caller)
        for fault, sent in ((httpx.ConnectError, False), (httpx.ReadError, True)):
            loqua.fail("progress", *[fault("") for _ in range(4)])
            with pytest.raises(UnreachableError, match="deadline") as unreachable:
                await progress(api, caller)
            assert unreachable.value.sent is sent
            loqua.faults.clear()


async def test_an_attempt_that_the_deadline_cuts_off_has_failed(
    leased: LoquaApi, loqua: Loqua, under_test: ApiUnderTest, caller: Caller
) -> None:
    """One whose caller goes meanwhile was cancelled, which says nothing about the API."""
    loqua.latency = 3.9
    loqua.fail("progress", *[60.0] * 4)
    with pytest.raises(UnreachableError, match="deadline"):
        await progress(leased, caller)
    cut_off = under_test.logged("api.called")[-1]
    assert (cut_off["failure"], cut_off["why"]) == (
        "UnreachableError",
        "no answer within api.deadline",
    )
    loqua.faults.clear()
    going = asyncio.create_task(progress(leased, caller))
    await asyncio.sleep(1)
    going.cancel()
    await asyncio.wait([going])
    assert under_test.logged("api.called")[-1]["failure"] == "cancelled"


async def test_a_refused_token_its_exchange_and_the_repeat_share_one_deadline(
    leased: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """A host's lease on a record ends soon after it; what was refused was surely not taken."""
    loqua.fail("sessions", error(401, "UNAUTHORIZED", "go away"))
    loqua.fail("user-token", 60.0, 3.5)
    loqua.latency = 3.5
    with pytest.raises(UnreachableError, match="deadline") as unreachable:
        await leased.create_session(caller, RECORD, key="key-1")
    assert now() == 10
    assert unreachable.value.endpoint == "sessions"
    assert len(loqua.seen("sessions")) == 2
    assert unreachable.value.sent is True


async def test_a_record_whose_token_cannot_be_exchanged_was_not_sent(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Whatever became of the exchange: there is nothing to ask the API about."""
    async with under_test.open() as api:
        loqua.fail("user-token", *[httpx.ReadError("reset")] * 4)
        with pytest.raises(UnreachableError) as unreachable:
            await api.create_session(caller, RECORD, key="key-1")
    assert unreachable.value.endpoint == "user-token"
    assert unreachable.value.sent is False


async def test_where_keys_are_honoured_a_record_is_sent_again(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Then a repeat with the same key does no harm."""
    async with under_test.open(honours_idempotency_keys=True) as api:
        loqua.fail("sessions", httpx.ReadError("reset"), httpx.Response(500))
        await api.create_session(caller, RECORD, key="key-1")
    assert [call.headers["idempotency-key"] for call in loqua.seen("sessions")] == ["key-1"] * 3


async def test_a_header_that_comes_twice_is_heeded_whole(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """As gateways add their own to the API's: the longest wait counts."""
    limits = [("RateLimit", '"a";r=0;t=4'), ("RateLimit", '"b";r=9;t=1')]
    async with under_test.open() as api:
        await api.lease(caller)
        loqua.fail("progress", httpx.Response(200, json={"success": True}, headers=limits))
        await progress(api, caller)
        before = now()
        await progress(api, caller)
        assert now() - before == pytest.approx(4)


async def test_a_429_without_a_word_holds_other_lessons_calls_of_that_endpoint(
    under_test: ApiUnderTest, loqua: Loqua
) -> None:
    """No learner's call retries by itself; other endpoints continue."""
    async with under_test.open() as api:
        callers = [Caller(f"user-{number}", "room", "agent") for number in range(8)]
        await asyncio.gather(*(api.lease(one) for one in callers))
        before = now()
        loqua.fail("progress", httpx.Response(429))
        await progress(api, callers[0])
        assert now() == before + 1
        loqua.fail("progress", httpx.Response(429))
        refused = asyncio.create_task(progress(api, callers[0]))
        await asyncio.sleep(0.01)
        calls = [asyncio.create_task(progress(api, one)) for one in callers[1:]]
        await api.context(callers[1])
        await asyncio.gather(refused, *calls)
        times = [call.at for call in loqua.seen("progress")]
        assert times == [before, *[before + 1] * 2, *[pytest.approx(before + 2)] * 8]
        assert loqua.seen("context")[0].at < before + 1.1


async def test_one_429_holds_all_lessons(under_test: ApiUnderTest, loqua: Loqua) -> None:
    """Nobody's call reaches the API before the pause is over; then all get through."""
    callers = [Caller(f"user-{number}", "room", "agent") for number in range(20)]
    async with under_test.open() as api:
        await asyncio.gather(*(api.lease(caller) for caller in callers))
        await asyncio.sleep(5)
        loqua.fail("progress", httpx.Response(429, headers={"Retry-After": "4"}))
        await progress(api, callers[0])
        assert now() == 9
        assert [call.at for call in loqua.seen("progress")] == [5, 9]
        loqua.fail("progress", httpx.Response(429, headers={"Retry-After": "4"}))
        slow = asyncio.create_task(progress(api, callers[0]))
        await asyncio.sleep(0.1)
        await asyncio.gather(slow, *(progress(api, caller) for caller in callers[1:]))
        assert min(call.at for call in loqua.seen("progress")[3:]) == 13
        assert len(loqua.seen("progress")) == 23


async def test_a_long_pause_fails_calls_at_once_with_its_length(
    leased: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """The delivery of records learns when to come again."""
    loqua.fail("progress", httpx.Response(503, headers={"Retry-After": "120"}))
    with pytest.raises(SuspendedError):
        await progress(leased, caller)
    begun = now()
    with pytest.raises(SuspendedError) as suspended:
        await leased.create_session(caller, RECORD, key="key-1")
    assert now() == begun
    assert suspended.value.retry_after == pytest.approx(120, abs=1)
    assert suspended.value.sent is False
    assert loqua.seen("sessions") == []


async def test_a_budget_that_is_spent_is_respected(
    leased: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """`RateLimit-Remaining: 0` on a good answer pauses the next call."""
    loqua.headers |= {"RateLimit-Remaining": "0", "RateLimit-Reset": "5"}
    await progress(leased, caller)
    loqua.headers.clear()
    await progress(leased, caller)
    assert [call.at for call in loqua.seen("progress")] == [0, 5]


async def test_a_drip_is_an_outage_too(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """An answer that takes longer than an attempt may counts against the endpoint."""
    async with under_test.open(retries=0, breaker={"failures": 2}) as api:
        await api.lease(caller)
        loqua.fail("progress", 60.0, 60.0)
        for _ in range(2):
            with pytest.raises(UnreachableError, match="attempt_timeout"):
                await progress(api, caller)
        assert now() == 8
        with pytest.raises(SuspendedError):
            await progress(api, caller)
        assert now() == 8


async def test_breakers_are_one_for_each_endpoint(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Where progress fails, the context still comes."""
    others = [replace(caller, user_id=f"other-{number}") for number in range(2)]
    async with under_test.open(retries=0) as api:
        for one in (caller, *others):
            await api.lease(one)
        loqua.fail("progress", *[httpx.Response(500)] * 5)
        for one in (*others, *others, caller):
            with pytest.raises(UnreachableError):
                await progress(api, one)
        with pytest.raises(SuspendedError):
            await progress(api, caller)
        assert (await api.context(caller)).mode is Mode.FULL
        await asyncio.sleep(15)
        await progress(api, caller)
    assert [line["event"] for line in under_test.logs if line["event"].startswith("breaker")] == [
        "breaker.opened",
        "breaker.half_opened",
        "breaker.closed",
    ]


async def test_one_learners_bad_data_leaves_everybody_elses_calls_alone(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Leo's context answers 500 for minutes; each of the others is taught with theirs."""
    leo = replace(caller, user_id="leo")
    loqua.poisoned |= {("context", "leo")}
    async with under_test.open() as api:
        await api.lease(leo)
        for number in range(10):
            other = replace(caller, user_id=f"other-{number}")
            with contextlib.suppress(UnreachableError):
                await api.context(leo)
            with contextlib.suppress(UnreachableError):
                await api.session_known(leo, "sess_1")
            await api.lease(other)
            loaded = await api.context(other)
            assert loaded.mode is Mode.FULL
            assert loaded.context.preferences.language_learning == "spanish"
            await asyncio.sleep(8)
    assert not under_test.logged("breaker.opened")
    assert len([call for call in loqua.seen("context") if call.at > 20]) < 20


async def test_of_fifty_calls_at_half_open_one_reaches_the_api(
    under_test: ApiUnderTest, loqua: Loqua
) -> None:
    """The others fail at once."""
    callers = [Caller(f"user-{number}", "room", "agent") for number in range(50)]
    async with under_test.open(retries=0) as api:
        await asyncio.gather(*(api.lease(caller) for caller in callers))
        loqua.fail("progress", *[httpx.Response(500)] * 5)
        for caller in callers[:5]:
            with pytest.raises(UnreachableError):
                await progress(api, caller)
        await asyncio.sleep(15)
        loqua.latency = 1
        before = len(loqua.seen("progress"))
        results = await asyncio.gather(
            *(progress(api, caller) for caller in callers), return_exceptions=True
        )
        assert len(loqua.seen("progress")) - before == 1
        assert sum(isinstance(result, SuspendedError) for result in results) == 49
        await asyncio.gather(*(progress(api, caller) for caller in callers))


async def test_a_cancelled_call_leaves_everything_as_it_was(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """A hundred learners who leave in the middle cost no slot and open no breaker."""
    async with under_test.open(pool_size=2) as api:
        await api.lease(caller)
        loqua.latency = 1
        for _ in range(10):
            calls = [asyncio.create_task(progress(api, caller)) for _ in range(10)]
            await asyncio.sleep(0.5)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
        begun = now()
        await asyncio.gather(progress(api, caller), progress(api, caller))
        assert now() == begun + 1


answers = st.builds(
    httpx.Response,
    status_code=st.integers(100, 599) | st.just(200),
    headers=st.dictionaries(
        st.sampled_from(
            [
                "Retry-After",
                "RateLimit",
                "RateLimit-Remaining",
                "RateLimit-Reset",
                "Content-Type",
                "Sunset",
                "Deprecation",
                "API-Supported-Versions",
            ]
        ),
        st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=30)
        | st.integers(0, 10**12).map(str),
    ),
    content=st.binary(max_size=60)
    | st.sampled_from([b"{}", b"[]", b'{"success": true}', b'{"error": {"message": 7}}']),
)

HESITATIONS = [0.0, 3.5, 60.0]


@settings(max_examples=30)
@given(faults=st.lists(answers | st.sampled_from(HESITATIONS), min_size=1, max_size=12))
@example(faults=[0.0, httpx.Response(401), 3.5, 3.5, 3.5])
def test_nothing_the_api_does_can_hurt_a_lesson(faults: list[Any]) -> None:
    """Fuzzed: whatever it answers, a call is done, refused or unreachable, and in time."""

    async def run() -> None:
        under_test, caller = ApiUnderTest(), Caller("user-1", "room", "agent")
        for endpoint in ("user-token", "context", "progress", "sessions", "health"):
            under_test.loqua.fail(endpoint, *copy.deepcopy(faults))
        async with under_test.open() as api:
            for call in (
                lambda: api.lease(caller),
                lambda: api.context(caller),
                lambda: progress(api, caller),
                lambda: api.create_session(caller, RECORD, key="k"),
                lambda: api.check_health(caller),
            ):
                begun = now()
                with contextlib.suppress(UnreachableError, RefusedError):
                    await call()
                assert now() - begun <= 10.001

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())


async def test_the_versions_are_negotiated_on_every_call(
    leased: LoquaApi, under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """The client names v1, stays on it, and warns once of its end."""
    loqua.headers |= {
        "API-Supported-Versions": "v1, v2",
        "Deprecation": "@1735689600",
        "Sunset": "Fri, 31 Dec 2027 23:59:59 GMT",
    }
    await progress(leased, caller)
    await progress(leased, caller)
    assert {call.headers["accept-version"] for call in loqua.calls} == {"v1"}
    (event,) = under_test.logged("api.deprecated")
    assert event["sunset"] == "2027-12-31"


async def test_an_errors_text_never_quotes_the_request(
    leased: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """A client library's own words may hold a header."""
    loqua.fail("progress", *[httpx.LocalProtocolError("Illegal header b'Bearer eyJ'")] * 4)
    with pytest.raises(UnreachableError) as unreachable:
        await progress(leased, caller)
    assert "eyJ" not in str(unreachable.value)
    assert unreachable.value.__suppress_context__


async def test_http2s_own_log_stays_silent(leased: LoquaApi) -> None:
    """At DEBUG hpack would log every header block."""
    assert leased is not None
    assert not logging.getLogger("hpack").isEnabledFor(logging.DEBUG)


@pytest.mark.parametrize(
    "settings",
    [
        {"retries": 4},
        {"attempt_timeout": 10},
        {"connect_timeout": 5},
        {"rate_limit": 0},
        {"pool_size": 0},
        {"api_base_url": "loqua"},
        {"invented": 1},
        {"access": {"sessions": "nobody"}},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object]) -> None:
    """At the start, not in a lesson."""
    with pytest.raises(ValidationError):
        CoreSettings.model_validate({"api_base_url": "http://loqua.test", **settings})


@pytest.mark.parametrize("model", [CoreSettings, BreakerSettings, CacheLives, Access])
def test_every_setting_says_what_it_is(model: type[BaseModel]) -> None:
    """For whoever writes config/host.yaml."""
    assert [name for name, field in model.model_fields.items() if not field.description] == []


async def test_an_endpoint_s_last_outcome_is_known_and_a_cancelled_call_is_none(
    leased: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """A learner who leaves says nothing about the API; nor does the API say who they are."""
    loqua.fail("progress", error(403, "FORBIDDEN", "user-1 in room-1: no sess_1"))
    about = {"session_id": "sess_1", "status": "in_progress", "progress": Progress(), "key": "k"}
    with pytest.raises(RefusedError):
        await leased.send_progress(caller, **about)  # type: ignore[arg-type]  # as above
    refused = leased.endpoints()["progress"]
    assert refused.failure == "progress: 403: FORBIDDEN: [user_id] in [room]: no [session_id]"
    loqua.fail("progress", 3.0)
    calling = asyncio.create_task(progress(leased, caller))
    await asyncio.sleep(1)
    calling.cancel()
    await asyncio.wait([calling])
    assert leased.endpoints()["progress"] == refused
    loqua.latency = 0.25
    await progress(leased, caller)
    answered = leased.endpoints()["progress"]
    now = asyncio.get_running_loop().time()
    assert answered == EndpointStatus(now, 0.25, None, BreakerState.CLOSED)


async def test_a_breaker_that_is_open_is_known_by_its_endpoint(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Others' are closed; endpoints that were never called are not known."""
    async with under_test.open(retries=0, breaker={"failures": 1}) as api:
        await api.lease(caller)
        loqua.fail("progress", httpx.Response(500))
        with pytest.raises(UnreachableError):
            await progress(api, caller)
        states = {name: status.breaker for name, status in api.endpoints().items()}
    assert states == {"user-token": BreakerState.CLOSED, "progress": BreakerState.OPEN}


async def test_attempts_are_counted_by_outcome_and_timed_unless_cancelled(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Whoever went did not wait: that is no time of the API's."""
    async with under_test.open() as api:
        await api.lease(caller)
        loqua.latency = 0.25
        loqua.fail("context", httpx.Response(503))
        await api.context(caller)
        loqua.latency = 3.0
        calling = asyncio.create_task(api.check_health(caller))
        await asyncio.sleep(1)
        calling.cancel()
        await asyncio.wait([calling])
    by = {"endpoint": "context"}
    failed = {"outcome": "UnreachableError", "status": "503"}
    assert under_test.counted("api_calls_total", **by, outcome="ok", status="200") == 1
    assert under_test.counted("api_calls_total", **by, **failed) == 1
    assert under_test.counted("api_call_seconds_sum", **by) == pytest.approx(0.25)
    assert under_test.counted("context_loads_total", source="api") == 1
    cancelled = {"endpoint": "health", "outcome": "cancelled", "status": "none"}
    assert under_test.counted("api_calls_total", **cancelled) == 1
    assert under_test.counted("api_call_seconds_count", endpoint="health") == 0


V2 = {"max_version": "v2"}


async def test_a_host_that_speaks_both_moves_to_v2(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """Once it is offered; the record has the names of v2 then."""
    async with under_test.open(**V2) as api:
        await api.lease(caller)
        loqua.headers |= {"API-Supported-Versions": "v1, v2", "Deprecation": "@1735689600"}
        await api.create_session(caller, RECORD, key="k", started_at=0)
        assert api.version.version == "v2"
        await api.create_session(caller, RECORD, key="l", started_at=0)
    before, after = loqua.seen("sessions")
    assert (before.version, after.version) == ("v1", "v2")
    assert "started_at" not in before.body
    assert after.body["started_at"] == "1970-01-01T00:00:00Z"
    assert after.body["vocabulary"] == before.body["new_vocabulary"]
    assert "new_vocabulary" not in after.body


async def test_after_the_end_of_v1_calls_succeed_in_v2_at_once(
    under_test: ApiUnderTest, loqua: Loqua, caller: Caller
) -> None:
    """The first call that meets the end is made again; no lesson notices."""
    async with under_test.open(**V2) as api:
        await api.lease(caller)
        loqua.fail("sessions", httpx.Response(410, headers={"API-Supported-Versions": "v2"}))
        await api.create_session(caller, RECORD, key="k")
    assert [call.version for call in loqua.seen("sessions")] == ["v1", "v2"]
    assert under_test.counted("api_retries_total", endpoint="sessions") == 0


async def test_after_the_end_of_v1_a_host_that_speaks_no_other_keeps_its_pending_records(
    leased: LoquaApi, loqua: Loqua, caller: Caller
) -> None:
    """It was refused nothing: an updated host can send it."""
    gone = {
        "json": {"error": {"code": "VERSION_ENDED", "message": "v1 has ended: use v2"}},
        "headers": {"API-Supported-Versions": "v2"},
    }
    loqua.fail("sessions", *(httpx.Response(410, **gone) for _ in range(9)))
    with pytest.raises(UnreachableError, match="none of the versions v1: update") as unreachable:
        await leased.create_session(caller, RECORD, key="k")
    assert unreachable.value.sent is False
    assert {call.version for call in loqua.seen("sessions")} == {"v1"}
