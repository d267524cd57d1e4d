"""Lessons that are refused, or ended by a refusal."""

import asyncio
from typing import Any

import pytest
import structlog
from tests.unit.lessons.host_under_test import (
    JOB,
    HostUnderTest,
    Opened,
    always,
    finish,
    join,
    learner,
    receive,
)

from loqua_host.core import Caller
from loqua_host.errors import (
    ApiError,
    LedgerError,
    RefusedError,
    RoomsError,
    TokenError,
    UnreachableError,
)
from loqua_host.link.messages import Recorded, Refused, Welcome, WrapUp
from loqua_host.link.server import JobRef
from loqua_host.records.ledger import Ledger


async def test_an_early_refusal_of_somebody_else_does_not_refuse_the_learner(
    host: HostUnderTest,
) -> None:
    """The first in the room is unknown to the API; the job's learner is not."""
    host.rooms.inside["room"] = [learner("ana"), learner("maria", joined_at=2)]
    host.loqua.failing = lambda _method, caller: (
        RefusedError("user-token", "User not found", status=404)
        if caller.user_id == "ana"
        else None
    )
    host.lessons.begin(JOB)
    async with host.job() as link:
        assert isinstance(await join(link, "maria"), Welcome)


REFUSALS = {
    "nobody there": ({"room": []}, None, "no_learner"),
    "no user_id": ({"room": [learner(attributes={})]}, None, "no_user_id"),
    "bad user_id": ({"room": [learner("../maria", "maria")]}, None, "bad_user_id"),
    "own attributes": (
        {"room": [learner(writes_own_attributes=True)]},
        None,
        "self_written_attributes",
    ),
    "unknown to the API": (
        None,
        always("lease", RefusedError("user-token", "User not found", status=404)),
        "user-token_refused",
    ),
    "undecipherable": (None, always("lease", TokenError("wrong_secret", "…")), "wrong_secret"),
    "no permission": (
        None,
        always("health", RefusedError("health", "lacks session.create")),
        "health_refused",
    ),
    "context refused": (
        None,
        always("context", RefusedError("context", "no", status=403)),
        "context_refused",
    ),
}


@pytest.mark.parametrize(("inside", "failing", "cause"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_lesson_ends_politely_with_one_line_and_no_lease(
    host: HostUnderTest, inside: Any, failing: Any, cause: str
) -> None:
    """The job gets the cause and the message; nothing is recorded."""
    host.rooms.inside = inside or host.rooms.inside
    host.loqua.failing = failing or host.loqua.failing
    host.lessons.begin(JOB)
    with structlog.testing.capture_logs() as logs:
        async with host.job() as link:
            refused = await join(link)
            assert await receive(link) is None
    assert isinstance(refused, Refused)
    assert (refused.cause, refused.language) == (cause, "it")
    assert [log["cause"] for log in logs if log["event"] == "lesson.refused"] == [cause]
    await host.delivered()
    assert host.loqua.records == []


async def test_a_mistake_of_the_hosts_own_ends_one_lesson_and_no_other(
    host: HostUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    """It may occur while preparing or joining; its message is not logged."""
    other = JobRef("other", "elsewhere", "grammar")
    host.rooms.inside["elsewhere"] = [learner("ana")]
    async with host.job(other) as honest:
        await join(honest, "ana")
        host.rooms.failing = ZeroDivisionError("a mistake")  # type: ignore[assignment]  # unforeseen
        host.lessons.begin(JOB)
        async with host.job() as link:
            assert await join(link) is None
        await honest.send(finish())
        assert await receive(honest) == Recorded()
    assert "a mistake" not in caplog.text


async def test_livekit_out_of_reach_refuses_the_lesson(host: HostUnderTest) -> None:
    """The host teaches no learner that it cannot verify."""
    host.rooms.failing = RoomsError("LiveKit's rooms API is out of reach")
    async with host.job() as link:
        assert (await join(link)).cause == "livekit_unreachable"


async def test_a_ledger_that_cannot_be_written_refuses_the_lesson_and_holds_no_lease(
    host: HostUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lesson that could not be recorded is not begun."""

    async def full(*_: object) -> None:
        raise LedgerError("ledger.path ledger.db: disk full; free some disk space")

    monkeypatch.setattr(host.services.ledger, "open_lesson", full)
    async with host.job() as link:
        assert (await join(link)).cause == "ledger_unusable"
    await host.delivered()


@pytest.mark.parametrize("hangs", [False, True], ids=["refuses", "hangs"])
async def test_a_lesson_that_this_host_cannot_write_is_left_to_another_host(
    host: HostUnderTest, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """The job leaves without a word, and the learner's entry is not closed."""
    host.services.dispatch_state.shared = True
    monkeypatch.setattr(Ledger, "responsive", False)

    async def gone(*_: object) -> None:
        if hangs:
            await asyncio.Event().wait()
        raise LedgerError("LEDGER_URL: connection refused; see that the server runs")

    monkeypatch.setattr(host.services.ledger, "open_lesson", gone)
    async with host.job() as link:
        refused = await join(link)
        assert (refused.cause, refused.language) == ("ledger_unusable", None)
    await host.delivered()
    assert not host.services.dispatch_state.closed_entries(JOB.room)
    assert await host.services.ledger.closed_entries([JOB.room]) == {JOB.room: set()}


@pytest.mark.parametrize("method", ["health", "lease_patiently"])
async def test_a_refusal_during_the_lesson_ends_it_politely(
    open_host: Opened, loqua: Any, method: str
) -> None:
    """The API's word counts whenever it comes."""
    late = asyncio.Event()

    def failing(called: str, _caller: Caller) -> ApiError | None:
        if method == "lease_patiently" and called == "lease":
            return UnreachableError("user-token", "down")
        refused = called == method and late.is_set()
        return RefusedError(method, "no longer", status=403) if refused else None

    loqua.failing = failing
    loqua.gates["lease_patiently"] = late
    async with open_host(lessons={"health_every": 0.01}) as host, host.job() as link:
        assert isinstance(await join(link), Welcome)
        late.set()
        assert await receive(link) == WrapUp(reason=f"{method}_refused")


@pytest.mark.parametrize(
    ("failing", "ids"),
    [
        ("lease", {"user_id": "maria", "session_id": "sess_1"}),
        ("context", {"user_id": "maria", "session_id": "sess_1"}),
        ("open", {"user_id": "maria", "session_id": "sess_1"}),
        ("identify", {}),
    ],
)
@pytest.mark.parametrize("early", [True, False])
async def test_a_refusal_says_whom_it_is_about(
    host: HostUnderTest,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
    ids: dict[str, str],
    early: bool,
) -> None:
    """Agent, room and job, and the learner as soon as that is known."""
    host.loqua.failing = always(failing, RefusedError(failing, "no", status=404))
    if failing == "open":
        monkeypatch.setattr(
            host.dispatch_state, "taught", lambda _room: frozenset({"conversation"})
        )
    if failing == "identify":
        host.rooms.inside["room"] = [learner(attributes={"user_id": "../x", "sessionId": "s"})]
    if early:
        host.lessons.begin(JOB)
    merging = [structlog.contextvars.merge_contextvars]
    with structlog.testing.capture_logs(processors=merging) as logs:
        async with host.job() as link:
            assert isinstance(await join(link), Refused)
    [refused] = [log for log in logs if log["event"] == "lesson.refused"]
    place = {"agent_id": "loqua-tutor", "room": "room", "job_id": "job"}
    names = ("agent_id", "room", "job_id", "user_id", "session_id")
    assert {name: refused[name] for name in names if name in refused} == place | ids


async def test_a_refused_learner_is_settled_for_this_entry(host: HostUnderTest) -> None:
    """A second tutor of a kind that is turned away settles nothing."""
    host.rooms.inside["room"] = [learner(sid="PA_1")]
    async with host.job() as first, host.job(JobRef("job2", "room", "conversation")) as second:
        await join(first)
        await join(second)
        assert host.dispatch_state.closed_entries("room") == frozenset()
        await first.send(finish())
        await receive(first)
    host.loqua.failing = always("lease", RefusedError("user-token", "no", status=403))
    async with host.job(JobRef("job3", "room", "conversation")) as third:
        await join(third)
    assert host.dispatch_state.closed_entries("room") == {("PA_1", "conversation")}
