"""Lessons in the host, over a real link and ledger, with a job and an API faked by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog

from loqua_host.contract.handoff import Handback, Utterance, Wish
from loqua_host.contract.learner import LearnerContext, Preferences
from loqua_host.contract.records import Ending, LessonReport, Mode, Performance, Progress
from loqua_host.core import Caller, wire
from loqua_host.errors import (
    ApiError,
    LedgerError,
    LinkError,
    RefusedError,
    RoomsError,
    TokenError,
    UnreachableError,
)
from loqua_host.lessons.board import Board
from loqua_host.lessons.departure import Departure
from loqua_host.lessons.hosted import HostedTutor
from loqua_host.lessons.lessons import Lessons
from loqua_host.lessons.recovery import recover
from loqua_host.link.client import HostLink, open_link
from loqua_host.link.messages import (
    CallSpecialist,
    Checkpoint,
    ConnectionLost,
    ContextLoaded,
    Finish,
    HandedBack,
    Join,
    ModeChanged,
    Others,
    ProgressRefused,
    Recorded,
    Refused,
    Returned,
    Welcome,
    WrapUp,
)
from loqua_host.link.server import JobRef, serve_link
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import MAX_CRASHES, Ledger
from loqua_host.rooms.learners import Participant
from loqua_host.settings.host import HostSettings
from loqua_host.sockets import SocketHandle, listen_unnamed
from loqua_host.tasks import background

MARIA = Caller("maria", "room", "loqua-tutor")
STOPPING = "host_stopping"
JOB = JobRef("job", "room", "conversation")
WRITTEN: dict[str, Any] = {
    "agent_id": "loqua-host",
    "livekit": {"url": "ws://livekit"},
    "api": {"api_base_url": "http://api"},
    "environment": "development",
    "tutors": (),
    "apologies": {"en": "Sorry.", "es": "Lo siento."},
}
SPANISH = LearnerContext(preferences=Preferences(language_learning="spanish"))


def learner(user_id: str = "maria", identity: str = "", **changes: Any) -> Participant:
    """Give a learner as LiveKit reports one."""
    fields: dict[str, Any] = {
        "identity": identity or user_id,
        "kind": "standard",
        "name": user_id.title(),
        "attributes": {"user_id": user_id, "sessionId": "sess_1", "display_name": "María"},
        "writes_own_attributes": False,
        "joined_at": 1,
    }
    return Participant(**{**fields, **changes})


@dataclass
class FakeRooms:
    """LiveKit's rooms: who is in which."""

    inside: dict[str, list[Participant]] = field(default_factory=dict)
    failing: RoomsError | None = None

    async def participants(self, room: str) -> list[Participant]:
        """List a room's participants."""
        if self.failing is not None:
            raise self.failing
        return self.inside.get(room, [])


@dataclass
class House:
    """A host's lessons with all that is around them."""

    lessons: Lessons
    rooms: FakeRooms
    loqua: Any
    ledger: Ledger
    delivery: Delivery
    board: Board
    link: SocketHandle
    departures: dict[str, Departure]

    async def leave(self, *jobs: JobRef, within: float = 600, reason: str = STOPPING) -> None:
        """Have the worker of these jobs leave."""
        departure = Departure.within(within, reason)
        self.departures |= {job.job_id: departure for job in jobs}
        await self.lessons.announce_departure([job.job_id for job in jobs])

    async def give_up(self) -> None:
        """Close what is interrupted, as the reconciler does when nobody comes back."""
        await until(lambda: self.board.interrupted("room"))
        for lesson in self.board.interrupted("room"):
            self.board.drop_interrupted(lesson)
            await self.lessons.close(lesson.row, "learner_left")

    def job(self, job: JobRef = JOB) -> "Any":
        """Connect as the job that was accepted."""
        token = f"{job.job_id} {job.room} {job.tutor}{' line' if job.line_only else ''}"
        return open_link(self.link.path, token)

    async def delivered(self) -> None:
        """Wait until nothing is owed and every lease is back."""
        async with asyncio.timeout(30):
            await self.delivery.idle()
        await until(lambda: not any(self.loqua.held.values()))


def authorise(token: str, _pid: int) -> JobRef:
    """Read the job from its token."""
    try:
        job_id, room, tutor, *line_only = token.split(" ")
        return JobRef(job_id, room, tutor, bool(line_only))
    except ValueError:
        raise LinkError("no such job") from None


Opened = Callable[..., Any]


@pytest.fixture
def open_house(ledger: Ledger, delivery: Delivery, loqua: Any, wall: Any) -> Opened:
    """Give what opens a house for the length of a block."""

    @asynccontextmanager
    async def opened(**sections: Any) -> AsyncIterator[House]:
        settings = HostSettings.model_validate(WRITTEN | sections)
        loqua.remembers = SPANISH
        rooms = FakeRooms({"room": [learner()]})
        tutors = {
            "conversation": HostedTutor(
                "conversation", "", "loqua-tutor", 5, {"KEY": "own"}, language="it"
            ),
            "grammar": HostedTutor("grammar", "grammar-expert", "loqua-grammar", 5),
        }
        departures: dict[str, Departure] = {}
        board = Board(wall.monotonic, departures.get)
        async with background() as tasks:
            lessons = Lessons(
                rooms=rooms,  # type: ignore[arg-type]  # a fake
                api=loqua,
                ledger=ledger,
                delivery=delivery,
                tutors=tutors,
                settings=lambda: settings,
                board=board,
                tasks=tasks,
                clock=wall,
            )
            with listen_unnamed() as (listener, link):
                async with serve_link(listener, authorise=authorise, attend=lessons.attend):
                    yield House(lessons, rooms, loqua, ledger, delivery, board, link, departures)

    return opened


@pytest.fixture
async def house(open_house: Opened) -> AsyncIterator[House]:
    """Give a house that is open."""
    async with open_house() as house:
        yield house


async def join(link: HostLink, identity: str = "maria") -> Any:
    """Join and get the host's answer."""
    await link.send(Join(identity=identity))
    return await hear(link)


async def hear(link: HostLink) -> Any:
    """Get the host's next message in time."""
    async with asyncio.timeout(30):
        return await link.receive()


def made(seconds: float = 30, **progress: Any) -> Checkpoint:
    """Give a tick."""
    return Checkpoint(seconds=seconds, progress=Progress(**progress), state={"scene": 1})


def finish(report: LessonReport | None = None, seconds: float = 60) -> Finish:
    """Give the end of a lesson."""
    return Finish(ending=Ending(reason="learner_left", seconds=seconds), report=report)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  # as an onlooker would
            await asyncio.sleep(0.001)


async def test_a_lesson_goes_from_welcome_to_record(house: House, wall: Any) -> None:
    """Prepared ahead, welcomed, followed, recorded, delivered, released."""
    house.lessons.begin(JOB)
    async with house.job() as link:
        welcome = await join(link)
        assert isinstance(welcome, Welcome)
        assert (welcome.session_id, welcome.learner.user_id) == ("sess_1", "maria")
        assert (welcome.language, welcome.apology) == ("es", "Lo siento.")
        assert welcome.secrets == {"KEY": "own"}
        wall.seconds += 120
        await link.send(made(60, words_learned=2))
        report = LessonReport(progress=Progress(words_learned=5), topics_covered=("food",))
        await link.send(finish(report, seconds=90))
        assert await hear(link) == Recorded()
    await house.delivered()
    [record] = house.loqua.records
    assert (record.session_id, record.duration_minutes) == ("sess_1", 1.5)
    assert record.topics_covered == ("food",)
    assert house.loqua.arrived[-2:] == [("completed", "sess_1"), ("record", "sess_1")]
    assert house.loqua.sent["sess_1"][-1] == Progress(words_learned=5)
    assert house.loqua.leased == 1


async def test_the_api_is_asked_while_the_job_still_connects(house: House) -> None:
    """When the job joins, the token is there."""
    house.lessons.begin(JOB)
    await until(lambda: house.loqua.held.get(MARIA))


async def test_a_crashed_jobs_lesson_is_recorded_from_its_last_progress(
    house: House, wall: Any
) -> None:
    """The end of the link without a farewell is the crash."""
    async with house.job() as link:
        await join(link)
        wall.seconds += 60
        await link.send(made(45, words_learned=3, pronunciation_score=90))
    await house.give_up()
    await house.delivered()
    [record] = house.loqua.records
    assert (record.duration_minutes, record.overall_performance) == (0.75, Performance.EXCELLENT)
    assert house.loqua.arrived[-2:] == [("failed", "sess_1"), ("record", "sess_1")]


@pytest.mark.parametrize("reason", ["voice_failed", "job_failed", "create_agent_failed"])
async def test_the_api_is_told_of_a_failure_before_the_first_tick(
    house: House, reason: str
) -> None:
    """With the outcome that is logged and counted, and a grade that blames nobody."""
    with structlog.testing.capture_logs() as logs:
        async with house.job() as link:
            await join(link)
            await link.send(Finish(ending=Ending(reason=reason, seconds=0), report=None))
            assert await hear(link) == Recorded()
        await house.delivered()
    assert house.loqua.arrived == [("failed", "sess_1"), ("record", "sess_1")]
    assert house.loqua.sent["sess_1"] == [Progress()]
    assert house.loqua.records[0].overall_performance is Performance.FAIR
    [recorded] = [log for log in logs if log["event"] == "lesson.recorded"]
    assert recorded["outcome"] == "failed"


async def test_a_lesson_that_is_given_up_fails_alike_for_the_api_and_for_metrics(
    house: House,
) -> None:
    """Also one that made no progress yet."""
    with structlog.testing.capture_logs() as logs:
        async with house.job() as link:
            await join(link)
        await until(lambda: house.board.interrupted("room"))
        await house.give_up()
        await house.delivered()
    assert house.loqua.arrived == [("failed", "sess_1"), ("record", "sess_1")]
    [given_up] = [log for log in logs if log["event"] == "lesson.given_up"]
    assert given_up["outcome"] == "failed"


async def test_a_lesson_whose_host_is_gone_is_left_to_the_next(
    open_house: Opened, ledger: Ledger, wall: Any
) -> None:
    """Which goes on with it where it was, as after no crash."""
    async with open_house() as house:
        connected = house.job()
        link = await connected.__aenter__()
        await join(link)
        wall.seconds += 60
        await link.send(made(30, words_learned=3))
        await until(lambda: house.loqua.arrived)
        house.lessons.withdraw()
        await house.leave(JOB, within=0)
        await house.lessons.cut_off([JOB.job_id])
        await connected.__aexit__(None, None, None)
        await until(lambda: not house.lessons.live())
        assert house.board.interrupted("room") == ()
    assert await ledger.interrupted() == []
    assert await ledger.adopt({"conversation"}) == 1
    [left] = await ledger.interrupted()
    assert (left.seconds, left.crashes, left.progress) == (30, 0, Progress(words_learned=3))


async def test_a_tutor_that_comes_back_goes_on_where_the_lesson_was(
    house: House, wall: Any
) -> None:
    """Same lesson and record, time taught, progress and notes; a restart is counted."""
    async with house.job() as link:
        first = await join(link)
        wall.seconds += 60
        await link.send(made(45, words_learned=3))
        await until(lambda: house.loqua.arrived)
    await until(lambda: house.board.interrupted("room"))
    async with house.job(JobRef("job2", "room", "conversation")) as link:
        again = await join(link)
        await link.send(finish(LessonReport(progress=Progress(words_learned=5)), seconds=50))
        assert await hear(link) == Recorded()
    await house.delivered()
    assert (again.lesson, again.session_id) == (first.lesson, first.session_id)
    assert (again.resumed, again.seconds, again.state) == (True, 45, {"scene": 1})
    assert again.progress == Progress(words_learned=3)
    assert not first.resumed
    [record] = house.loqua.records
    assert record.session_id == "sess_1"


async def test_a_checkpoint_without_progress_is_kept_and_the_api_hears_nothing_of_it(
    house: House,
) -> None:
    """A tutor that reports no progress, and crashes twice, goes on where it was each time."""
    jobs = [JobRef(f"job{number}", "room", "conversation") for number in range(3)]
    for number, job in enumerate(jobs[:2], start=1):
        async with house.job(job) as link:
            welcome = await join(link)
            assert welcome.state == ({"card": number - 1} if number > 1 else {})
            await link.send(Checkpoint(seconds=0, state={"card": number}, turns=SAID))
            await link.send(Checkpoint(seconds=0, turns=SAID[:1]))
        await until(lambda: house.board.interrupted("room"))
    async with house.job(jobs[2]) as link:
        again = await join(link)
        assert (again.state, again.turns, again.progress) == ({"card": 2}, SAID[:1], None)
        await link.send(finish())
        assert await hear(link) == Recorded()
    await house.delivered()
    assert [kind for kind, _ in house.loqua.arrived] == ["record"]


async def test_a_job_that_another_host_called_is_for_the_learner_whose_lesson_is_not_over(
    house: House,
) -> None:
    """Whoever came first; where all lessons are over, it is another one for whom it sees."""
    house.rooms.inside["room"] = [
        learner("maria", sid="PA_1", joined_at=1),
        learner("ana", sid="PA_2", joined_at=2),
    ]
    taught = []
    for number in range(3):
        async with house.job(JobRef(f"job{number}", "room", "conversation")) as link:
            taught.append((await join(link, "maria")).learner.user_id)
            await link.send(finish())
            assert await hear(link) == Recorded()
    assert taught == ["maria", "ana", "maria"]


@pytest.mark.parametrize("identity", ["maria", "ana"])
async def test_a_room_has_no_second_tutor_of_a_kind(house: House, identity: str) -> None:
    """Two dispatches may both be served; the second job goes without a word, whomever it met."""
    house.rooms.inside["room"].append(learner("ana"))
    async with house.job() as first:
        await join(first)
        async with house.job(JobRef("job2", "room", "conversation")) as second:
            refused = await join(second, identity)
        assert isinstance(refused, Refused)
        assert (refused.cause, refused.apology) == ("already_taught", "")
        await first.send(finish())
        assert await hear(first) == Recorded()


async def test_of_two_tutors_that_join_together_one_teaches(house: House) -> None:
    """Neither waits for what the ledger says of the other."""
    async with house.job() as one, house.job(JobRef("job2", "room", "conversation")) as other:
        answers = await asyncio.gather(join(one), join(other))
    assert {type(answer) for answer in answers} == {Welcome, Refused}


async def test_a_job_that_vanishes_before_it_joins_holds_no_lease(house: House) -> None:
    """What was prepared for it is given back."""
    house.lessons.begin(JOB)
    async with house.job():
        pass
    await house.delivered()
    assert house.loqua.held in ({}, {MARIA: 0})


async def test_a_job_that_never_comes_holds_a_lease_for_a_while_only(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its preparation is dropped after its patience."""
    loop = asyncio.get_running_loop()
    later: list[Callable[[], None]] = []
    monkeypatch.setattr(loop, "call_later", lambda _s, call, *a: later.append(lambda: call(*a)))
    house.lessons.begin(JOB)
    monkeypatch.undo()
    await until(lambda: house.loqua.held.get(MARIA))
    later[0]()
    later[0]()
    await house.delivered()


async def test_a_preparation_dropped_midway_leases_nothing(house: House) -> None:
    """The exchange may come to its end later than the drop."""
    house.loqua.gates["context"] = asyncio.Event()
    house.lessons.begin(JOB)
    await until(lambda: house.loqua.held.get(MARIA))
    async with house.job():
        pass
    await house.delivered()


async def test_a_foreseen_lesson_is_prepared_once_for_the_job_that_comes(house: House) -> None:
    """However often it was foreseen; the job goes on with it."""
    for _ in range(3):
        house.lessons.foresee("room", "conversation", "maria")
    await until(lambda: house.loqua.held.get(MARIA))
    house.lessons.begin(JOB)
    async with house.job() as link:
        assert isinstance(await join(link), Welcome)
        await link.send(finish())
        assert await hear(link) == Recorded()
    await house.delivered()
    assert house.loqua.leased == 1


async def test_a_lesson_foreseen_in_vain_is_given_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job comes for it."""
    monkeypatch.setattr("loqua_host.lessons.preparations.FORESIGHT_SECONDS", 0.05)
    house.lessons.foresee("room", "conversation", "maria")
    await until(lambda: house.loqua.leased)
    await until(lambda: not house.loqua.held[MARIA])


async def test_a_foresight_that_failed_is_made_good_by_the_job(house: House) -> None:
    """LiveKit told of the learner before it listed them."""
    inside = house.rooms.inside.pop("room")
    house.lessons.foresee("room", "conversation", "maria")
    await asyncio.sleep(0)
    house.rooms.inside["room"] = inside
    house.lessons.begin(JOB)
    await until(lambda: house.loqua.held.get(MARIA))


async def test_the_job_sees_another_learner_than_was_prepared_for(house: House) -> None:
    """The prepared lease is given back and the seen learner is taught."""
    house.rooms.inside["room"] = [learner("ana"), learner("maria", joined_at=2)]
    house.lessons.begin(JOB)
    async with house.job() as link:
        welcome = await join(link, "maria")
        assert welcome.learner.user_id == "maria"
        await link.send(finish())
        await hear(link)
    await house.delivered()
    assert house.loqua.leased == 2


async def test_an_early_refusal_of_somebody_else_does_not_refuse_the_learner(
    house: House,
) -> None:
    """The first in the room is unknown to the API; the job's learner is not."""
    house.rooms.inside["room"] = [learner("ana"), learner("maria", joined_at=2)]
    house.loqua.failing = lambda _method, caller: (
        RefusedError("user-token", "User not found", status=404)
        if caller.user_id == "ana"
        else None
    )
    house.lessons.begin(JOB)
    async with house.job() as link:
        assert isinstance(await join(link, "maria"), Welcome)


def always(method: str, error: ApiError) -> Callable[[str, Caller], ApiError | None]:
    """Have a method fail."""
    return lambda called, _caller: error if called == method else None


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
    house: House, inside: Any, failing: Any, cause: str
) -> None:
    """The job is told the cause and what to say; nothing is recorded."""
    house.rooms.inside = inside or house.rooms.inside
    house.loqua.failing = failing or house.loqua.failing
    house.lessons.begin(JOB)
    with structlog.testing.capture_logs() as logs:
        async with house.job() as link:
            refused = await join(link)
            assert await hear(link) is None
    assert isinstance(refused, Refused)
    assert (refused.cause, refused.apology) == (cause, "Sorry.")
    assert [log["cause"] for log in logs if log["event"] == "lesson.refused"] == [cause]
    await house.delivered()
    assert house.loqua.records == []


async def test_a_mistake_of_the_hosts_own_ends_one_lesson_and_no_other(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither while it is prepared nor when its job joins; its words are not logged."""
    other = JobRef("other", "elsewhere", "grammar")
    house.rooms.inside["elsewhere"] = [learner("ana")]
    async with house.job(other) as honest:
        await join(honest, "ana")
        house.rooms.failing = ZeroDivisionError("a mistake")  # type: ignore[assignment]  # unforeseen
        house.lessons.begin(JOB)
        async with house.job() as link:
            assert await join(link) is None
        await honest.send(finish())
        assert await hear(honest) == Recorded()
    assert "a mistake" not in caplog.text


async def test_livekit_out_of_reach_refuses_the_lesson(house: House) -> None:
    """Nobody is taught whom the host cannot verify."""
    house.rooms.failing = RoomsError("LiveKit's rooms API is out of reach")
    async with house.job() as link:
        assert (await join(link)).cause == "livekit_unreachable"


async def test_a_ledger_that_cannot_be_written_refuses_the_lesson_and_holds_no_lease(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lesson that could not be recorded is not begun."""

    async def full(*_: object) -> None:
        raise LedgerError("ledger.path ledger.db: disk full; free some disk space")

    monkeypatch.setattr(house.ledger, "open_lesson", full)
    async with house.job() as link:
        assert (await join(link)).cause == "ledger_unusable"
    await house.delivered()


async def test_a_lesson_begins_without_the_api_and_learns_of_its_return(house: House) -> None:
    """Mock mode teaches the tutor's own language; a later lease is given back as any other."""
    back = house.loqua.gates["lease_patiently"] = asyncio.Event()
    down = UnreachableError("user-token", "connection refused", sent=False)
    house.loqua.failing = lambda method, _c: (
        down if method == "lease" and not back.is_set() else None
    )
    house.lessons.begin(JOB)
    async with house.job() as link:
        welcome = await join(link)
        assert (welcome.mode, welcome.language) == (Mode.MOCK, "it")
        back.set()
        await until(lambda: house.loqua.held.get(MARIA))
        [listener] = house.loqua.listeners
        listener(MARIA, Mode.FULL)
        assert await hear(link) == ContextLoaded(context=house.loqua.remembers)
        assert await hear(link) == ModeChanged(mode=Mode.FULL)
        await link.send(finish())
        assert await hear(link) == Recorded()
    await house.delivered()
    assert house.loqua.leased == 1


async def test_a_lesson_that_began_without_its_context_is_given_it_once_it_can_be_loaded(
    open_house: Opened, loqua: Any
) -> None:
    """At a health check; one that had it from the beginning is given nothing."""
    loqua.mode = Mode.BASIC
    async with open_house(lessons={"health_every": 0.01}) as house, house.job() as link:
        assert (await join(link)).mode is Mode.BASIC
        loqua.mode = Mode.FULL
        assert await hear(link) == ContextLoaded(context=loqua.remembers)
        await link.send(finish())
        assert await hear(link) == Recorded()


async def test_a_lesson_without_the_api_releases_nothing_that_is_not_its_own(house: House) -> None:
    """Another lesson of the same learner keeps its token."""
    await house.loqua.lease(MARIA)
    house.loqua.gates["lease_patiently"] = asyncio.Event()
    house.loqua.failing = always("lease", UnreachableError("user-token", "down"))
    house.lessons.begin(JOB)
    async with house.job() as link:
        await join(link, "maria")
        await link.send(finish())
        await hear(link)
    house.lessons.begin(JobRef("other", "room", "conversation"))
    async with house.job(JobRef("other", "room", "conversation")):
        pass
    async with asyncio.timeout(30):
        await house.delivery.idle()
    assert house.loqua.held == {MARIA: 1}


@pytest.mark.parametrize("method", ["health", "lease_patiently"])
async def test_a_refusal_during_the_lesson_ends_it_politely(
    open_house: Opened, loqua: Any, method: str
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
    async with open_house(lessons={"health_every": 0.01}) as house, house.job() as link:
        assert isinstance(await join(link), Welcome)
        late.set()
        assert await hear(link) == WrapUp(reason=f"{method}_refused")


async def test_falling_progress_is_refused_and_the_last_good_one_kept(
    house: House, wall: Any
) -> None:
    """Named to the job; neither ledger nor API gets it."""
    async with house.job() as link:
        await join(link)
        wall.seconds += 60
        await link.send(made(30, words_learned=7))
        await link.send(made(31, words_learned=3))
        assert await hear(link) == ProgressRefused(why="progress.words_learned: fell from 7 to 3")
        await link.send(finish(LessonReport(progress=Progress(words_learned=1))))
        assert await hear(link) == Recorded()
    await house.delivered()
    assert {progress.words_learned for progress in house.loqua.sent["sess_1"]} == {7}


@pytest.mark.parametrize(("claimed", "minutes"), [(0.0, 0.5), (45.0, 0.75), (1e9, 1.0)])
async def test_the_time_taught_is_no_less_than_told_before_and_no_more_than_passed(
    house: House, wall: Any, claimed: float, minutes: float
) -> None:
    """A job cannot make up time."""
    async with house.job() as link:
        await join(link)
        wall.seconds += 60
        await link.send(made(30))
        await link.send(finish(seconds=claimed))
        assert await hear(link) == Recorded()
    await house.delivered()
    assert house.loqua.records[0].duration_minutes == minutes


@pytest.mark.parametrize("step", [-3600, 3600])
async def test_a_clock_that_is_set_in_a_lesson_changes_nothing_of_what_was_taught(
    house: House, wall: Any, step: float
) -> None:
    """Neither takes it time away, nor lets it a job make some up."""
    async with house.job() as link:
        await join(link)
        wall.seconds += 60
        await link.send(made(60))
        await until(lambda: "sess_1" in house.loqua.sent)
        wall.step = step
        wall.seconds += 30
        await link.send(finish(seconds=1000))
        assert await hear(link) == Recorded()
    await house.delivered()
    assert house.loqua.records[0].duration_minutes == 1.5


@pytest.mark.parametrize("step", [-3600, 3600])
async def test_a_resumed_lesson_lasts_as_long_as_its_parts_together(
    house: House, wall: Any, step: float
) -> None:
    """However long the tutor was away, and whatever the clock was set to meanwhile."""
    async with house.job() as link:
        await join(link)
        wall.seconds += 60
        await link.send(made(60))
        await until(lambda: "sess_1" in house.loqua.sent)
    await until(lambda: house.board.interrupted("room"))
    wall.step = step
    wall.seconds += 20
    async with house.job(JobRef("job2", "room", "conversation")) as link:
        await join(link)
        wall.seconds += 30
        await link.send(finish(seconds=1000))
        assert await hear(link) == Recorded()
    await house.delivered()
    assert house.loqua.records[0].duration_minutes == 1.5


async def test_a_lesson_of_thirty_hours_is_recorded(house: House, wall: Any) -> None:
    """As long as the API takes."""
    async with house.job() as link:
        await join(link)
        wall.seconds += 30 * 3600
        await link.send(finish(seconds=30 * 3600))
        assert await hear(link) == Recorded()
    await house.delivered()
    assert house.loqua.records[0].duration_minutes == 1440


async def test_lessons_hear_when_their_worker_leaves_also_one_that_just_begins(
    house: House,
) -> None:
    """Those of the jobs that are meant, and no others; they go on until then."""
    grammar, later = JobRef("other", "room", "grammar"), JobRef("later", "room", "grammar")
    async with house.job() as first, house.job(grammar) as second:
        await join(first)
        house.loqua.gates["lease"] = asyncio.Event()
        await second.send(Join(identity="maria"))
        await until(lambda: not house.lessons._waiting)
        await house.leave(JOB, grammar)
        assert 590 < (await hear(first)).seconds <= 600
        house.loqua.gates["lease"].set()
        assert isinstance(await hear(second), Welcome)
        told = await hear(second)
        assert (told.reason, 590 < told.seconds <= 600) == (STOPPING, True)
        await second.send(finish())
        assert await hear(second) == Recorded()
    async with house.job(later) as third:
        await join(third)
        await third.send(finish())
        assert await hear(third) == Recorded()


async def test_a_lesson_without_time_for_a_goodbye_is_cut_off_and_gone_on_with(
    house: House,
) -> None:
    """Its learner hears no half of one, and is not left alone: a new worker's job takes over."""
    async with house.job() as link:
        first = await join(link)
        await house.leave(JOB, within=3, reason="tutor_changed")
        await house.lessons.cut_off([JOB.job_id])
        assert await hear(link) is None
    await until(lambda: house.board.interrupted("room"))
    async with house.job(JobRef("job2", "room", "conversation")) as link:
        again = await join(link)
    assert (again.resumed, again.lesson) == (True, first.lesson)


async def test_who_was_told_goodbye_because_a_worker_leaves_gets_no_second_lesson(
    house: House,
) -> None:
    """As after any other end: the API has one record, and the learner one tutor."""
    house.rooms.inside["room"] = [learner(sid="PA_1")]
    async with house.job() as link:
        await join(link)
        await house.leave(JOB, reason="tutor_changed")
        assert (await hear(link)).reason == "tutor_changed"
        await link.send(finish())
        assert await hear(link) == Recorded()
    await house.delivered()
    assert ("PA_1", "conversation") in await house.ledger.settled_in("room")
    assert len(house.loqua.records) == 1


async def test_lost_lessons_are_left_to_others_by_a_host_that_stops(house: House) -> None:
    """Open as they are, at once, and those that are lost later, too."""
    grammar = JobRef("other", "room", "grammar")
    async with house.job(grammar) as later:
        await join(later)
        async with house.job() as link:
            await join(link)
        await until(lambda: house.board.interrupted("room"))
        house.lessons.withdraw()
        assert house.board.interrupted("room") == ()
    await until(lambda: not house.lessons.live())
    await house.ledger.claims_in("room")  # what was asked of the ledger before is done
    assert house.board.interrupted("room") == ()
    assert await house.ledger.adopt({"conversation", "grammar"}) == 2
    assert house.loqua.records == []


@pytest.mark.parametrize("early", [True, False])
async def test_jobs_that_wait_for_their_learner_are_sent_away(house: House, early: bool) -> None:
    """Also one that comes only now; nothing is opened for them, even if the learner comes."""
    if not early:
        await house.leave(JOB)
    house.lessons.begin(JOB)
    async with house.job() as link:
        if early:
            await until(lambda: house.lessons._waiting)
            await house.leave(JOB)
        refused = await hear(link)
        assert (refused.cause, refused.apology) == ("host_stopping", "")
        with contextlib.suppress(LinkError):
            await link.send(Join(identity="maria"))
    await house.delivered()
    assert await house.ledger.owing() == {}


async def test_two_tutors_of_one_visit_have_records_of_their_own(house: House) -> None:
    """The specialist's lesson adds its name, and acts as its own agent."""
    grammar = JobRef("other", "room", "grammar")
    async with house.job() as first, house.job(grammar) as second:
        assert (await join(first)).session_id == "sess_1"
        welcome = await join(second)
        assert (welcome.session_id, welcome.visit) == ("sess_1.grammar-expert", "sess_1")
        assert (welcome.agent_id, welcome.secrets) == ("loqua-grammar", {})
        for link in (first, second):
            await link.send(finish())
            assert await hear(link) == Recorded()
    await house.delivered()
    assert len(house.loqua.records) == 2


@pytest.mark.parametrize(
    "visit",
    [
        "sess_1736523000000_x1",
        "{6F9619FF-8B86-D011-B42D-00CF4FC964FF}",
        "-",
        " a b ",
        "../../etc?x=1#y",
        "a\N{NO-BREAK SPACE}b",
        "урок №5 👩\N{ZERO WIDTH JOINER}🏫",
        "x" * 512,
        "é" * 512,
        '"; DROP TABLE lesson; --',
        "42",
    ],
)
async def test_a_session_id_of_any_form_reaches_the_api_unchanged(house: House, visit: str) -> None:
    """And a second lesson's, with the tutor's name besides."""
    house.rooms.inside["room"] = [learner(attributes={"user_id": "maria", "sessionId": visit})]
    for expected in (visit, f"{visit}.conversation"):
        async with house.job() as link:
            assert (await join(link)).session_id == expected
            await link.send(Checkpoint(seconds=1, progress=Progress()))
            await link.send(finish())
            assert await hear(link) == Recorded()
        await house.delivered()
        assert house.loqua.records[-1].session_id == expected
        assert expected in house.loqua.sent
        wire.session(MARIA, house.loqua.records[-1], "key", repeatable=False)
        wire.progress(MARIA, expected, "completed", Progress(), "key")


@pytest.mark.parametrize(
    ("visit", "why"),
    [
        ("x" * 513, "has more than 512 characters"),
        ("x" * 5000, "has more than 512 characters"),
        ("  ", "is blank"),
        ("a\nb", "has control characters"),
        ("a\0b", "has control characters"),
        ("a\n", "has control characters"),
        ("\x1b[2J", "has control characters"),
        ("a\u2028b", "has control characters"),
        ("a\u202eb", "has control characters"),
        ("a\x85b", "has control characters"),
    ],
)
async def test_a_session_id_that_cannot_be_sent_is_replaced_and_named(
    house: House, visit: str, why: str
) -> None:
    """The log says which attribute and why, and not what was in it."""
    house.rooms.inside["room"] = [learner(attributes={"user_id": "maria", "sessionId": visit})]
    with structlog.testing.capture_logs() as logs:
        async with house.job() as link:
            assert (await join(link)).visit.startswith("visit_")
    [refused] = [log for log in logs if log["event"] == "attribute.refused"]
    assert (refused["attribute"], refused["log_level"]) == ("sessionId", "warning")
    assert refused["why"].startswith(why)
    assert visit not in str(refused)


async def test_a_learner_without_a_session_id_is_given_one_without_a_word(house: House) -> None:
    """The guide has hosts generate it."""
    house.rooms.inside["room"] = [learner(attributes={"user_id": "maria"})]
    with structlog.testing.capture_logs() as logs:
        async with house.job() as link:
            assert (await join(link)).visit.startswith("visit_")
    assert "attribute.refused" not in [log["event"] for log in logs]


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
    house: House, monkeypatch: pytest.MonkeyPatch, failing: str, ids: dict[str, str], early: bool
) -> None:
    """Agent, room and job, and the learner as soon as that is known."""
    house.loqua.failing = always(failing, RefusedError(failing, "no", status=404))
    if failing == "open":
        monkeypatch.setattr(house.board, "taught", lambda _room: frozenset({"conversation"}))
    if failing == "identify":
        house.rooms.inside["room"] = [learner(attributes={"user_id": "../x", "sessionId": "s"})]
    if early:
        house.lessons.begin(JOB)
    merging = [structlog.contextvars.merge_contextvars]
    with structlog.testing.capture_logs(processors=merging) as logs:
        async with house.job() as link:
            assert isinstance(await join(link), Refused)
    [refused] = [log for log in logs if log["event"] == "lesson.refused"]
    place = {"agent_id": "loqua-tutor", "room": "room", "job_id": "job"}
    names = ("agent_id", "room", "job_id", "user_id", "session_id")
    assert {name: refused[name] for name in names if name in refused} == place | ids


async def test_a_job_that_does_not_join_first_is_refused(house: House) -> None:
    """Nothing is opened for it."""
    with structlog.testing.capture_logs() as logs:
        async with house.job() as link:
            await link.send(finish())
            assert await hear(link) is None
    assert "link.refused" in [log["event"] for log in logs]
    assert await house.ledger.owing() == {}


async def test_a_second_join_changes_nothing(house: House) -> None:
    """The learner of a lesson stays."""
    async with house.job() as link:
        await join(link)
        await link.send(Join(identity="ana"))
        await link.send(finish())
        assert await hear(link) == Recorded()


async def test_a_learner_who_returns_is_known_by_another_identity_too(house: House) -> None:
    """The host looks for itself; the lesson belongs to the new entry from then on."""
    async with house.job() as link:
        await join(link)
        house.rooms.inside["room"] = [
            learner("ana", sid="PA_ana"),
            learner("maria", "m2", sid="PA_2"),
        ]
        await link.send(Join(identity="ana"))
        await link.send(Join(identity="nobody"))
        await link.send(Join(identity="m2"))
        assert isinstance(await hear(link), Others)
        returned = await hear(link)
        assert isinstance(returned, Returned)
        assert returned.learner.identity == "m2"
        await link.send(finish())
        assert await hear(link) == Recorded()
    assert await house.ledger.settled_in("room") == {("PA_2", "conversation")}


async def test_a_learner_who_returns_does_not_wait_for_the_ledger(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does what the job says afterwards."""
    out_of_reach = asyncio.Event()
    monkeypatch.setattr(house.ledger, "follow_learner", lambda *_: out_of_reach.wait())
    async with house.job() as link:
        await join(link)
        house.rooms.inside["room"] = [learner("maria", "m2", sid="PA_2")]
        await link.send(Join(identity="m2"))
        assert isinstance(await hear(link), Returned)
        await link.send(finish())
        assert await hear(link) == Recorded()


async def test_a_tutor_is_told_of_others_and_of_them_only(house: House) -> None:
    """Not of agents, nor of those nobody knows, nor of the learner's other devices; once."""
    me, ana = learner(sid="PA_1"), learner("ana", "a1", sid="PA_ana")
    strangers = [
        learner("maria", "tab", sid="PA_tab"),
        learner("agent", kind="agent"),
        learner("egress", kind="egress"),
        learner("", "nobody", attributes={}),
        learner("eve", writes_own_attributes=True),
    ]
    house.rooms.inside["room"] = [me]
    async with house.job() as link:
        await join(link)
        house.lessons.see("room", [me, *strangers])
        house.lessons.see("elsewhere", [me, ana])
        house.lessons.see("room", [me, ana, *strangers])
        house.lessons.see("room", [me, ana])
        told = await hear(link)
        [other] = told.others
        assert (other.user_id, other.identity, other.attributes) == ("ana", "a1", {})
        assert told.entries == ("PA_ana",)
        house.lessons.see("room", [me, learner("ana", "a1", sid="PA_ana_again")])
        assert (await hear(link)).entries == ("PA_ana_again",)
        house.lessons.see("room", [me])
        assert await hear(link) == Others(others=())


@pytest.mark.parametrize("told_by", ["host", "job"])
async def test_a_learner_who_becomes_another_loses_the_lesson(house: House, told_by: str) -> None:
    """Whoever sees it first; the host looks for itself, and the log says it once."""
    house.rooms.inside["room"] = [learner(sid="PA_1")]
    async with house.job() as link:
        await join(link)
        changed = [learner(sid="PA_1", attributes={"user_id": "ana"})]
        house.rooms.inside["room"] = changed
        with structlog.testing.capture_logs() as logs:
            if told_by == "job":
                await link.send(Join(identity="maria"))
            else:
                house.lessons.see("room", changed)
            assert await hear(link) == WrapUp(reason="user_id_changed")
            house.lessons.see("room", changed)
            await link.send(finish())
            assert await hear(link) == Recorded()
    assert [log["event"] for log in logs].count("security.user_id_changed") == 1
    assert ("PA_1", "conversation") in house.board.settled("room")


async def test_a_refused_learner_is_settled_for_this_entry(house: House) -> None:
    """A second tutor of a kind that is turned away settles nothing."""
    house.rooms.inside["room"] = [learner(sid="PA_1")]
    async with house.job() as first, house.job(JobRef("job2", "room", "conversation")) as second:
        await join(first)
        await join(second)
        assert house.board.settled("room") == frozenset()
        await first.send(finish())
        await hear(first)
    house.loqua.failing = always("lease", RefusedError("user-token", "no", status=403))
    async with house.job(JobRef("job3", "room", "conversation")) as third:
        await join(third)
    assert house.board.settled("room") == {("PA_1", "conversation")}


async def test_a_job_that_was_called_for_a_learner_teaches_that_one(house: House) -> None:
    """Whoever it happens to see first."""
    house.rooms.inside["room"] = [learner("ana"), learner("maria", joined_at=2)]
    house.board.on_called("room", "conversation", "maria")
    house.lessons.begin(JOB)
    async with house.job() as link:
        assert (await join(link, "ana")).learner.user_id == "maria"


async def test_a_start_closes_what_a_dead_host_left_open(
    open_house: Opened, ledger: Ledger, loqua: Any, a_lesson: Callable[..., Any]
) -> None:
    """Also a lesson whose clock ran for days; its record is delivered with a fresh token."""
    for number in (1, 2):
        row = await ledger.open_lesson(a_lesson(number), "")
        await ledger.interrupt(row)
    await ledger.keep_progress(a_lesson(1), 200_000.0, Progress(words_learned=4), {})
    async with open_house() as house:
        await recover(ledger, house.board, house.delivery, ["conversation"])
        for one in house.board.interrupted("room1") + house.board.interrupted("room2"):
            await house.lessons.close(one.row, "learner_left")
        await house.delivered()
    assert {record.session_id: record.duration_minutes for record in loqua.records} == {
        "visit1": 1440,
        "visit2": 0,
    }
    assert ("failed", "visit1") in loqua.arrived


async def test_one_failing_lesson_leaves_the_others_alone(house: House) -> None:
    """Garbage and a crash in one; the other is recorded as if alone."""
    other = JobRef("other", "room", "grammar")
    async with house.job() as honest:
        await join(honest)
        async with house.job(other) as bad:
            await join(bad)
            await bad._socket.send_str("x" * 10_000)
            await bad._socket.send_bytes(b"\0")
        await honest.send(made(words_learned=1))
        await honest.send(finish())
        assert await hear(honest) == Recorded()
    await house.give_up()
    await house.delivered()
    assert len(house.loqua.records) == 2


SAID = (Utterance(speaker="tutor", text="¿Qué tal?"), Utterance(speaker="learner", text="Bien."))


async def test_a_restored_tutor_knows_what_was_said_last(house: House) -> None:
    """Beside its own notes, which it gets back as it wrote them."""
    async with house.job() as link:
        assert (await join(link)).turns == ()
        await link.send(made(words_learned=1).model_copy(update={"turns": SAID}))
        await until(lambda: house.delivery and house.loqua.sent)
    await until(lambda: house.board.interrupted("room"))
    async with house.job(JobRef("job2", "room", "conversation")) as link:
        welcome = await join(link)
        assert (welcome.turns, welcome.state) == (SAID, {"scene": 1})


async def test_a_learner_whose_tutor_crashes_again_and_again_hears_an_apology(
    house: House,
) -> None:
    """In the lesson's language; the record is written, and nothing is opened any more."""
    for number in range(MAX_CRASHES):
        async with house.job(JobRef(f"job{number}", "room", "conversation")) as link:
            assert isinstance(await join(link), Welcome)
        await until(lambda: house.board.interrupted("room"))
    async with house.job(JobRef("last", "room", "conversation")) as link:
        refused = await join(link)
    assert (refused.cause, refused.apology) == ("crash_loop", "Lo siento.")
    await house.delivered()
    assert len(house.loqua.records) == 1
    assert await house.ledger.interrupted() == []


async def test_a_lesson_outlives_a_livekit_that_is_started_again_and_again(house: House) -> None:
    """Its jobs say that they lost LiveKit: only those that crash count towards a crash loop."""
    for number in range(3 * MAX_CRASHES):
        async with house.job(JobRef(f"job{number}", "room", "conversation")) as link:
            assert isinstance(await join(link), Welcome)
            await link.send(ConnectionLost())
        await until(lambda: house.board.interrupted("room"))
    for number in range(MAX_CRASHES):
        async with house.job(JobRef(f"crash{number}", "room", "conversation")) as link:
            assert isinstance(await join(link), Welcome)
        await until(lambda: house.board.interrupted("room"))
    async with house.job(JobRef("last", "room", "conversation")) as link:
        assert (await join(link)).cause == "crash_loop"


@pytest.mark.parametrize("by_the_last_call", [True, False])
async def test_a_dispatch_that_is_served_late_or_twice_begins_nothing_after_a_crash_loop(
    house: House, by_the_last_call: bool
) -> None:
    """Whether the last call gave it up or that did not come in time; entering again is new."""
    house.rooms.inside["room"] = [learner(sid="PA_1")]
    for number in range(MAX_CRASHES):
        async with house.job(JobRef(f"job{number}", "room", "conversation")) as link:
            assert isinstance(await join(link), Welcome)
        await until(lambda: house.board.interrupted("room"))
    if not by_the_last_call:
        await house.give_up()
    for name in ("one", "other"):
        async with house.job(JobRef(name, "room", "conversation")) as link:
            assert (await join(link)).cause == "crash_loop"
    await house.delivered()
    assert len(house.loqua.records) == 1
    house.rooms.inside["room"] = [learner(sid="PA_2")]
    async with house.job(JobRef("again", "room", "conversation")) as link:
        welcome = await join(link)
        assert (welcome.resumed, welcome.session_id) == (False, "sess_1.conversation")
        await link.send(finish())
        await hear(link)


async def test_a_learner_without_a_place_hears_that_a_tutor_comes(open_house: Opened) -> None:
    """In the language they learn; nothing is opened, leased or settled by that."""
    sentences = {"tutor_comes": {"en": "One moment.", "es": "Un momento."}}
    async with open_house(sentences=sentences) as house:
        line = JobRef("line", "room", "conversation", line_only=True)
        with structlog.testing.capture_logs() as logs:
            async with house.job(line) as link:
                refused = await join(link)
        assert (refused.cause, refused.apology, refused.language) == ("full", "Un momento.", "es")
        assert refused.secrets == {"KEY": "own"}
        assert "lesson.refused" not in [log["event"] for log in logs]
        await house.delivered()
        assert house.board.settled("room") == frozenset()
        assert house.lessons.live() == []


GRAMMAR = JobRef("job2", "room", "grammar")
CALL = CallSpecialist(agent_name="grammar-expert", wish=Wish(focus="articles"))


async def hear_handback(link: HostLink) -> Handback:
    """Get what became of a call, past whatever else the host says."""
    answer = await hear(link)
    assert isinstance(answer, HandedBack)
    return answer.handback


async def test_a_caller_hears_what_the_specialist_reported(house: House, wall: Any) -> None:
    """With its last progress; the records are two, of one visit."""
    async with house.job() as caller, house.job(GRAMMAR) as specialist:
        await join(caller)
        await caller.send(CALL)
        await until(lambda: house.board.asked("room"))
        welcome = await join(specialist)
        wall.seconds += 60
        await specialist.send(made(30, words_learned=3))
        await specialist.send(finish(LessonReport(topics_covered=("articles",))))
        back = await hear_handback(caller)
        assert back.outcome == "taught"
        assert back.report == LessonReport(
            topics_covered=("articles",), progress=Progress(words_learned=3)
        )
        await caller.send(finish())
        assert await hear(caller) == Recorded()
    await house.delivered()
    assert welcome.session_id == "sess_1.grammar-expert"
    assert {record.session_id for record in house.loqua.records} == {"sess_1", welcome.session_id}


async def test_a_caller_hears_that_the_specialist_crashed_for_good(house: House) -> None:
    """Only then: until it is given up it may come back."""
    async with house.job() as caller:
        await join(caller)
        await caller.send(CALL)
        await until(lambda: house.board.asked("room"))
        async with house.job(GRAMMAR) as specialist:
            await join(specialist)
        await until(lambda: house.board.interrupted("room"))
        assert house.board.asked("room")
        await house.give_up()
        assert await hear_handback(caller) == Handback(outcome="failed")


async def test_a_caller_hears_that_the_specialist_could_not_teach(house: House) -> None:
    """A hook of its failed, which the learner was told."""
    async with house.job() as caller, house.job(GRAMMAR) as specialist:
        await join(caller)
        await caller.send(CALL)
        await until(lambda: house.board.asked("room"))
        await join(specialist)
        ending = Ending(reason="create_agent_failed", seconds=0)
        await specialist.send(Finish(ending=ending, report=None))
        assert await hear_handback(caller) == Handback(outcome="failed")


async def test_a_caller_hears_that_the_specialist_was_refused(house: House) -> None:
    """The API does not let it teach this learner."""
    async with house.job() as caller, house.job(GRAMMAR) as specialist:
        await join(caller)
        await caller.send(CALL)
        await until(lambda: house.board.asked("room"))
        house.loqua.failing = lambda method, _: (
            RefusedError("user-token", "no") if method == "lease" else None
        )
        assert isinstance(await join(specialist), Refused)
        assert await hear_handback(caller) == Handback(outcome="failed")


async def test_a_caller_that_ends_leaves_its_specialist_teaching(house: House) -> None:
    """By the rules for every lesson."""
    async with house.job(GRAMMAR) as specialist:
        async with house.job() as caller:
            await join(caller)
            await caller.send(CALL)
            await until(lambda: house.board.asked("room"))
            await join(specialist)
            await caller.send(finish())
            await until(lambda: not house.board.asked("room"))
        await specialist.send(finish())
        assert await hear(specialist) == Recorded()
    await house.delivered()
