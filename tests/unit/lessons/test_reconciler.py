"""The reconciler's actions, one by one; test_hosts covers them all together."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from unittest.mock import AsyncMock

import pytest
import structlog
from tests.unit.lessons.cluster import RECONNECT_TIMEOUT, SimulatedCluster, SimulatedHost

from loqua_host.contract.handoff import Handback, Handover
from loqua_host.contract.records import LessonReport, Performance, SessionRecord
from loqua_host.errors import LedgerError, RoomsError
from loqua_host.lessons.decisions import DISPATCH_GRACE, Capacity
from loqua_host.lessons.dispatch_state import Asked
from loqua_host.lessons.reconciler import STALE_SECONDS, WAITING
from loqua_host.lessons.room_sweep import QUIET_AT_ONCE, SETTLE_SECONDS
from loqua_host.link.server import JobRef
from loqua_host.records.ledger import Kind, LeaseClaims, LessonRow
from loqua_host.rooms.learners import Participant
from loqua_host.rooms.rooms import Dispatch, RoomCounts
from loqua_host.testing.virtual_time import VirtualLoop

LOOP = VirtualLoop

LONG_AGO = -60.0
"""When a learner came who waits by now, in monotonic seconds; the loop's begin at 0."""

LOST = LessonRow("l", "l", "v", "maria", "one", "tutor", "agent", 0.0)


@pytest.fixture
async def cluster() -> SimulatedCluster:
    """Return a room with a learner whom LiveKit's own dispatch brought nobody, and a host."""
    cluster = SimulatedCluster()
    await cluster.start("east")
    cluster.enter("one", "maria")
    cluster.offers.clear()
    return cluster


@pytest.fixture
def host(cluster: SimulatedCluster) -> SimulatedHost:
    """Return the host."""
    return cluster.hosts["east"]


def called(cluster: SimulatedCluster) -> list[tuple[str, str]]:
    """Return who was called where."""
    return [(room, one.agent_name) for room, one in cluster.offers]


async def test_who_has_left_for_good_is_forgotten(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """A host that runs for months sees very many learners."""
    await host.reconciler.look()
    assert list(host.reconciler._seen) == [("one", cluster.people["one"]["maria"].sid)]
    await cluster.leave_room("one", "maria")
    await host.reconciler.look()
    assert host.reconciler._seen == {}


async def test_a_tutor_that_was_disabled_since_the_decision_is_not_called(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """The reconciler asks LiveKit meanwhile, and goes on afterwards."""
    host.dispatch_state.on_interrupted(LOST, None)
    before = host.capacity()
    host.reconciler._capacity = lambda: before  # as it was when it decided
    cluster.tutors.clear()
    await host.reconciler.look()
    assert (called(cluster), host.dispatch_state.called("one")) == ([], frozenset())


async def test_a_host_of_a_region_that_stands_by_calls_nobody_until_it_teaches(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """But it restores a lesson that it had begun."""
    host.reconciler._seen["one", cluster.people["one"]["maria"].sid] = LONG_AGO
    host.dispatch_state.standby = True
    await host.reconciler.look()
    assert called(cluster) == []
    host.dispatch_state.on_interrupted(LOST, None)
    await host.reconciler.look()
    assert called(cluster) == [("one", "")]


async def test_a_lesson_that_another_host_has_resumed_is_left(
    host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This host was frozen or cut off meanwhile; with it the learner would have two tutors."""
    left = []

    async def elsewhere(rooms: Iterable[str]) -> dict[str, LeaseClaims]:
        taught = LeaseClaims(taught=frozenset({"tutor", "grammar"}))
        return dict.fromkeys(rooms, taught)

    async def leave(room: str, tutor: str) -> None:
        left.append((room, tutor))

    monkeypatch.setattr(host.reconciler._ledger, "claims_in", elsewhere)
    monkeypatch.setattr(host.reconciler._lessons, "leave", leave)
    host.dispatch_state.on_taught(JobRef("job", "one", "tutor"))
    await host.reconciler.look()
    assert left == [("one", "tutor")]


async def test_who_finds_every_slot_taken_is_notified_by_a_voice_and_an_attribute(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """Once."""
    host.reconciler._capacity = lambda: Capacity(0, {"tutor": 0, "grammar": 0})
    host.reconciler._seen["one", cluster.people["one"]["maria"].sid] = LONG_AGO
    for _ in range(3):
        await host.reconciler.look()
    assert [(notice.room, notice.tutor) for notice in host.said] == [("one", "tutor")]
    assert cluster.people["one"]["maria"].attributes[WAITING] == "true"
    assert host.dispatch_state.called("one") == frozenset()


@pytest.mark.parametrize(
    ("agent_name", "left"), [("", None), ("elsewhere", "true")], ids=["own", "other"]
)
async def test_a_host_clears_no_notice_of_a_host_with_other_tutors(
    cluster: SimulatedCluster, host: SimulatedHost, agent_name: str, left: str | None
) -> None:
    """Both see all rooms of one LiveKit; else one clears it and the other notifies again, for ever.

    Its own from before a restart it clears.
    """
    cluster.dispatches["one"] = [Dispatch(agent_name)]
    host.reconciler._seen["one", cluster.people["one"]["maria"].sid] = cluster.monotonic() + 60
    await host.mark("one", "maria", WAITING, "true")
    await host.reconciler.look()
    assert (cluster.people["one"]["maria"].attributes[WAITING] or None) == left


async def test_who_has_to_wait_is_notified_once_though_livekit_shows_it_late(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy one answers for a while as if nothing had been set; after that, it is lost."""
    host.reconciler._capacity = lambda: Capacity(0, {"tutor": 0, "grammar": 0})
    host.reconciler._seen["one", cluster.people["one"]["maria"].sid] = LONG_AGO

    async def late(*_: str) -> bool:
        await asyncio.sleep(0)
        return True

    monkeypatch.setattr(host.reconciler._rooms, "mark", late)
    for _ in range(3):
        await host.reconciler.look()
    assert len(host.said) == 1
    await asyncio.sleep(STALE_SECONDS)
    await host.reconciler.look()
    assert len(host.said) == 2


async def test_who_has_to_wait_is_notified_once_though_another_room_is_slow_to_answer(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A room read before the attribute was set does not cause a second notice."""
    host.reconciler._capacity = lambda: Capacity(0, {"tutor": 0, "grammar": 0})
    host.reconciler._seen["one", cluster.people["one"]["maria"].sid] = LONG_AGO
    cluster.enter("two", "leo")
    participants, mark = host.reconciler._rooms.participants, host.reconciler._rooms.mark
    marks: list[tuple[str, ...]] = []

    async def slow(room: str) -> Any:
        answer = await participants(room)
        await asyncio.sleep(STALE_SECONDS + 1 if room == "two" else 0)
        return answer

    async def late(*what: str) -> bool:
        marks.append(what)
        return True

    monkeypatch.setattr(host.reconciler._rooms, "participants", slow)
    monkeypatch.setattr(host.reconciler._rooms, "mark", late)
    await host.reconciler.look()
    await host.reconciler.look()
    assert [notice.room for notice in host.said].count("one") == 1
    for what in marks:
        await mark(*what)
    await host.reconciler.look()
    assert [notice.room for notice in host.said].count("one") == 1


async def test_who_has_to_wait_is_notified_once_livekit_knows_them(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lists who joins a moment before; what did not arrive is neither logged nor said."""
    host.reconciler._capacity = lambda: Capacity(0, {"tutor": 0, "grammar": 0})
    host.reconciler._seen["one", cluster.people["one"]["maria"].sid] = LONG_AGO
    with structlog.testing.capture_logs() as logs, monkeypatch.context() as joining:

        async def unknown(*_: str) -> bool:
            await asyncio.sleep(0)
            return False

        joining.setattr(host.reconciler._rooms, "mark", unknown)
        await host.reconciler.look()
    assert (host.said, logs) == ([], [])
    with structlog.testing.capture_logs() as logs:
        await host.reconciler.look()
    assert len(host.said) == 1
    assert [line["event"] for line in logs] == ["learner.notified"]


async def test_who_waits_keeps_their_turn_while_their_room_cannot_be_read(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failed request sends nobody to the end of the line, nor notifies them again."""
    await host.reconciler.look()
    before = dict(host.reconciler._seen)
    cluster.enter("two", "leo")
    participants = host.reconciler._rooms.participants

    async def blind(room: str) -> Any:
        if room == "one":
            raise RoomsError("the request timed out")
        return await participants(room)

    with monkeypatch.context() as failing:
        failing.setattr(host.reconciler._rooms, "participants", blind)
        await cluster.pass_time(1.0)
        await host.reconciler.look()
    await host.reconciler.look()
    assert before.items() < host.reconciler._seen.items()
    assert len(host.reconciler._seen) == 2


async def test_a_specialist_who_has_taught_on_another_host_is_not_called_again(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """To its caller's host, it is over in the look that finds its result in the ledger."""
    caller = await host.ledger.open_lesson(LOST, "")
    await host.ledger.call_specialist(caller, "grammar")
    taught = Handback(outcome="taught", report=LessonReport(topics_covered=("articles",)))
    grammar = replace(LOST, id="g", tutor="grammar", entry=cluster.people["one"]["maria"].sid)
    await cluster.start("west")
    other = cluster.hosts["west"].ledger
    with host.dispatch_state.asking("one", "grammar", "maria", Handover(tutor="tutor")) as asked:
        row = await other.open_lesson(grammar, "grammar-expert")
        await host.reconciler.look()
        assert asked.came.is_set()
        record = SessionRecord(
            session_id=row.session_id, duration_minutes=1, overall_performance=Performance.GOOD
        )
        await other.close_lesson(row, cluster.now(), Kind.COMPLETED, None, record, handback=taught)
        await host.reconciler.look()
        assert await asked.over == taught
    assert called(cluster) == []


async def test_a_specialist_who_is_no_longer_asked_for_is_not_called(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller may crash while others are called."""
    await host.reconciler.look()
    act = host.reconciler._act

    async def late(action: Any) -> None:
        host.dispatch_state._asked.clear()
        await act(action)

    monkeypatch.setattr(host.reconciler, "_act", late)
    host.dispatch_state._asked["one", "grammar"] = Asked("maria", 0.0, Handover(tutor="tutor"))
    await host.reconciler.look()
    assert (called(cluster), host.dispatch_state.called("one")) == ([], frozenset())


async def test_an_ordinary_handoff_is_no_warning(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """A tutor that was lost is one; a specialist that another has asked for is not."""
    host.dispatch_state.on_interrupted(LOST, None)
    with structlog.testing.capture_logs() as logs:
        await host.reconciler.look()
        handover = Handover(tutor="tutor")
        with host.dispatch_state.asking("one", "grammar", "maria", handover):
            await host.reconciler.look()
    levels = {log["event"]: log["log_level"] for log in logs}
    assert levels["lesson.restoring"] == "warning"
    assert levels["tutor.called"] == "info"
    assert host.metrics.tutors_called.labels("grammar")._value.get() == 1
    assert [agent_name for _, agent_name in called(cluster)][-1] == "grammar-expert"


async def test_a_host_that_stops_looks_on_and_calls_nobody(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lessons hear who comes; who waits is another host's to serve, and to count."""
    await host.reconciler.look()
    host.lessons.withdraw()
    host.dispatch_state.on_interrupted(LOST, None)
    cluster.enter("four", "luis")
    before = called(cluster)
    seen: list[str] = []
    monkeypatch.setattr(host.lessons, "see", lambda room, _: seen.append(room))
    await cluster.pass_time(DISPATCH_GRACE + 1)
    await host.reconciler.look()
    assert "four" in seen
    assert called(cluster) == before
    assert host.reconciler.waiting() == ()


async def test_no_lesson_is_given_up_for_the_time_in_which_livekit_was_away(
    cluster: SimulatedCluster, host: SimulatedHost, wall: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its learner could not come back; when LiveKit answers, the timeout begins."""
    for clock in (host.dispatch_state, host.reconciler):
        monkeypatch.setattr(clock, "_monotonic", wall.monotonic)
    row = await host.ledger.open_lesson(LOST, "")
    host.dispatch_state.on_interrupted(row, None)
    [lost] = host.dispatch_state.interrupted("one")
    await cluster.leave_room("one", "maria")
    with monkeypatch.context() as away:
        for asked in ("counts", "participants", "dispatched"):
            away.setattr(host, asked, _refuse)
        await host.reconciler.look()
        wall.seconds += 3 * RECONNECT_TIMEOUT
        await host.reconciler.look()
    assert host.metrics.rooms_failures._value.get() >= 2
    await host.reconciler.look()
    wall.seconds += RECONNECT_TIMEOUT
    await host.reconciler.look()
    assert host.dispatch_state.interrupted("one") == (lost,)
    wall.seconds += 1
    await host.reconciler.look()
    assert host.dispatch_state.interrupted("one") == ()
    assert cluster.open() == []


async def test_a_lesson_whose_room_is_gone_is_given_up(
    cluster: SimulatedCluster, host: SimulatedHost, wall: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of calls in a room that it does not know, LiveKit only says that nobody answers.

    After three seconds each (livekit/livekit#4488).
    """
    for clock in (host.dispatch_state, host.reconciler):
        monkeypatch.setattr(clock, "_monotonic", wall.monotonic)
    row = await host.ledger.open_lesson(LOST, "")
    host.dispatch_state.on_interrupted(row, None)
    await cluster.leave_room("one", "maria")
    monkeypatch.setattr(host, "dispatched", _refuse)
    await host.reconciler.look()
    wall.seconds += RECONNECT_TIMEOUT + 1
    await host.reconciler.look()
    assert host.dispatch_state.interrupted("one") == ()
    assert cluster.open() == []


async def _refuse(*_: object) -> Any:
    raise RoomsError("out of reach")


async def test_a_call_into_a_room_that_is_gone_meanwhile_keeps_no_other_waiting(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiveKit blocks for three seconds, then says 503 (livekit/livekit#4488)."""
    cluster.enter("two", "ana")
    cluster.offers.clear()
    for number, room in enumerate(("one", "two")):
        row = replace(LOST, id=room, room=room, user_id=("maria", "ana")[number])
        host.dispatch_state.on_interrupted(row, None)
    withdraw, answers = host.withdraw, asyncio.Event()

    async def blocking(room: str, agent_name: str) -> list[Dispatch]:
        if room == "one":
            await answers.wait()
            await _refuse()
        return await withdraw(room, agent_name)

    monkeypatch.setattr(host, "withdraw", blocking)
    looking = asyncio.create_task(host.reconciler.look())
    async with asyncio.timeout(10):
        while called(cluster) != [("two", "")]:  # noqa: ASYNC110  # as an onlooker would
            await asyncio.sleep(0.01)
    answers.set()
    await looking


async def test_who_finds_a_slot_at_another_host_is_not_asked_to_wait(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """Hosts look one after the other; the first has none."""
    await cluster.start("west")
    await host.maintain()
    host.reconciler._capacity = lambda: Capacity(0, {"tutor": 0, "grammar": 0})
    for one in cluster.hosts.values():
        one.reconciler._seen["one", cluster.people["one"]["maria"].sid] = (
            cluster.monotonic() - DISPATCH_GRACE
        )
    await cluster.look()
    await host.reconciler.look()
    assert called(cluster) == [("one", "")]
    assert WAITING not in cluster.people["one"]["maria"].attributes


@pytest.mark.parametrize("how", ["taught", "called", "outrun"])
async def test_whom_another_host_teaches_or_calls_for_is_not_called_for(
    cluster: SimulatedCluster, host: SimulatedHost, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until that host is dead, or its call has come to nothing."""
    await cluster.start("west")
    other = cluster.hosts["west"].ledger
    if how == "taught":
        await other.open_lesson(replace(LOST, id="other", user_id="ana"), "")
    else:
        await other.claim("one", "tutor", 10.0)
    if how == "outrun":  # It looked before the other called.
        monkeypatch.setattr(host.ledger, "claims_in", _nothing)
    host.dispatch_state.on_interrupted(LOST, None)
    await host.reconciler.look()
    assert (called(cluster), host.dispatch_state.called("one")) == ([], frozenset())
    cluster.database.execute("DELETE FROM claim")
    await host.reconciler.look()
    assert called(cluster) == [("one", "")]


async def _nothing(rooms: Iterable[str]) -> dict[str, LeaseClaims]:
    return {room: LeaseClaims() for room in rooms}


async def test_nobody_is_called_while_the_ledger_does_not_answer_and_nothing_is_forgotten(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows whose lesson is over; the learner is called a tutor when it answers again."""
    await host.reconciler.look()
    seen = dict(host.reconciler._seen)
    await cluster.pass_time(DISPATCH_GRACE)
    with monkeypatch.context() as away:
        away.setattr(host.ledger, "closed_entries", _no_ledger)
        await host.reconciler.look()
        assert (called(cluster), host.reconciler._seen) == ([], seen)
    await host.reconciler.look()
    assert called(cluster) == [("one", "")]


async def _no_ledger(_rooms: Iterable[str]) -> dict[str, set[tuple[str, str]]]:
    raise LedgerError("ledger.path ledger.db: disk full; free some disk space")


@pytest.mark.parametrize("step", ["_ask", "_build_snapshot", "_call"])
async def test_a_room_that_trips_the_host_up_keeps_no_other_from_being_served(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """In reading, deciding or acting; it is logged, without the error's own words."""
    cluster.enter("two", "leo")
    cluster.offers.clear()
    before = getattr(host.reconciler, step)

    def stumble(it: Any) -> Any:
        room = it if isinstance(it, str) else getattr(it, "room", None) or it.name
        if room == "one":
            raise KeyError("what maria said")
        return before(it)

    monkeypatch.setattr(host.reconciler, step, stumble)
    with structlog.testing.capture_logs() as logs:
        await host.reconciler.look()
        await cluster.pass_time(DISPATCH_GRACE)
        await host.reconciler.look()
    assert called(cluster) == [("two", "")]
    caught = [line for line in logs if line["event"] == "error.caught"]
    assert {line["why"] for line in caught} == {"KeyError"}
    assert "maria said" not in str(logs)


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_nobody_steps_out_for_a_learner_whom_another_host_calls_a_tutor_for(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    """The claim is one host's: two would give away two places for one learner."""
    asked: list[str] = []

    async def step_out(lesson: str, _since: float) -> None:
        asked.append(lesson)

    monkeypatch.setattr(host.lessons, "running", lambda room: [LOST] if room == "two" else [])
    monkeypatch.setattr(host.lessons, "step_out", step_out)
    monkeypatch.setattr(host.ledger, "claims_in", _nothing)  # it looked before the other called
    host.reconciler._capacity = lambda: Capacity(0, {"tutor": 0, "grammar": 1})
    cluster.enter("two", "ana")
    await host.reconciler.look()
    await cluster.pass_time(DISPATCH_GRACE)
    if elsewhere:
        await cluster.start("west")
        assert await cluster.hosts["west"].ledger.claim("one", "tutor", 60.0)
        assert await cluster.hosts["west"].ledger.claim("two", "tutor", 60.0)
    await host.reconciler.look()
    assert asked == ([] if elsewhere else [LOST.id])


async def test_of_very_many_quiet_rooms_a_few_are_read_and_at_once_those_that_change(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes back to one of them gets a tutor.

    A webhook or LiveKit's list of rooms tells; without both, the room has its turn.
    """
    rooms = {f"quiet-{number:03}" for number in range(10 * QUIET_AT_ONCE)}
    for number, room in enumerate(rooms):
        recorder = Participant("recorder", "egress", "", {}, False, 0.0, f"PA_egress_{number}")
        cluster.people[room] = {"recorder": recorder}
        cluster.dispatches[room] = [Dispatch("")]  # as every room has the automatic tutor's
    read: list[str] = []
    participants = host.participants

    async def counted(room: str) -> list[Participant]:
        read.append(room)
        return await participants(room)

    monkeypatch.setattr(host, "participants", counted)
    await host.reconciler.look()
    assert rooms <= {*read}
    await asyncio.sleep(SETTLE_SECONDS)
    await host.reconciler.look()
    read.clear()
    await host.reconciler.look()
    assert len(rooms & {*read}) == QUIET_AT_ONCE
    hinted, listed, unseen = sorted(rooms - {*read})[-3:]
    counts = await host.counts()
    for room in (hinted, listed, unseen):
        cluster.enter(room, room)
    counts[listed] = (await host.counts())[listed]
    monkeypatch.setattr(host, "counts", AsyncMock(return_value=counts))
    host.dispatch_state.changed_rooms.add(hinted)
    cluster.offers.clear()
    for _ in range(3):
        await asyncio.sleep(DISPATCH_GRACE)
        await host.reconciler.look()
    assert (hinted, "") in called(cluster)
    assert {hinted, listed} <= {*read}
    assert unseen not in {*read}
    waiting = len(host.reconciler.waiting())
    for _ in range(len(rooms) // QUIET_AT_ONCE):
        await asyncio.sleep(DISPATCH_GRACE)
        await host.reconciler.look()
    assert len(host.reconciler.waiting()) == waiting + 1
    assert unseen in {*read}


async def test_of_very_many_rooms_with_lessons_a_few_are_read_until_a_learner_waits(
    cluster: SimulatedCluster, host: SimulatedHost
) -> None:
    """Then a lesson whose learner is away gives way, so that all are read."""
    rooms = {f"taught-{number:03}" for number in range(10 * QUIET_AT_ONCE)}
    for room in rooms:
        cluster.enter(room, room)
        host.dispatch_state.on_taught(JobRef(room, room, "tutor"))
    await host.reconciler.look()
    await asyncio.sleep(SETTLE_SECONDS)
    await host.reconciler.look()
    host.dispatch_state.waiting = frozenset()
    assert len(host.reconciler._choose(await host.counts()) & rooms) == QUIET_AT_ONCE
    host.dispatch_state.waiting = frozenset({("one", "tutor")})
    assert rooms <= host.reconciler._choose(await host.counts())
    host.dispatch_state.waiting = frozenset()
    over = JobRef("taught-007", "taught-007", "tutor")
    host.dispatch_state.on_over(over)
    assert over.room in host.reconciler._choose(await host.counts())


async def test_a_lesson_that_another_host_has_resumed_is_left_however_quiet_its_room(
    host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This host was frozen or cut off meanwhile; the learner must not have two tutors."""
    claims = {"quiet": LeaseClaims(taught=frozenset({"tutor"}))}
    host.dispatch_state.on_taught(JobRef("job", "quiet", "tutor"))
    monkeypatch.setattr(host.ledger, "claims_in", AsyncMock(return_value=claims))
    monkeypatch.setattr(host.reconciler, "_choose", lambda _: set())
    monkeypatch.setattr(host.lessons, "leave", AsyncMock())
    await host.reconciler.look()
    host.lessons.leave.assert_awaited_once_with("quiet", "tutor")  # type: ignore[attr-defined]


async def test_a_tutor_that_is_enabled_has_all_rooms_read(
    cluster: SimulatedCluster, host: SimulatedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learner in any of them may wait for it."""
    rooms = {f"quiet-{number:03}" for number in range(10 * QUIET_AT_ONCE)}
    for room in rooms:
        cluster.people[room] = {}
    await host.reconciler.look()
    await asyncio.sleep(SETTLE_SECONDS)
    await host.reconciler.look()
    chosen = host.reconciler._choose(dict.fromkeys(rooms, RoomCounts(0, 0)))
    assert len(chosen & rooms) == QUIET_AT_ONCE
    monkeypatch.delitem(cluster.tutors, "grammar")
    assert rooms <= host.reconciler._choose(dict.fromkeys(rooms, RoomCounts(0, 0)))
