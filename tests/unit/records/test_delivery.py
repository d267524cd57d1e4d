"""Delivery of the outbox: in order, once, and concurrently for different lessons.

In SQLite: it calls six methods of the ledger, whose own tests call them in each database.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.core import Caller
from loqua_host.core.clock import SystemClock
from loqua_host.errors import (
    ApiError,
    RefusedError,
    SuspendedError,
    TokenError,
    UnreachableError,
)
from loqua_host.observability.metrics import Instruments
from loqua_host.records.database import Database
from loqua_host.records.delivery import MAX_SENDS, POLL_INTERVAL, RETRY_WINDOW, Delivery
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.metrics import DeliveryMetrics
from loqua_host.records.sqlite import SqliteDatabase
from loqua_host.system.tasks import background, forever, supervised

NewLesson = Callable[..., LessonRow]
Taught = Callable[..., Awaitable[LessonRow]]


@pytest.fixture
def make_database(tmp_path: Path) -> Callable[[], Database]:
    """Return a maker of connections to one database, empty at first."""
    return lambda: SqliteDatabase(tmp_path / "ledger.db")


@pytest.fixture
def taught(ledger: Ledger, delivery: Delivery, a_lesson: NewLesson) -> Taught:
    """Return what opens a lesson, has it make progress and closes it, all at once."""

    async def teach(number: int = 1, **fields: object) -> LessonRow:
        lesson = await ledger.open_lesson(a_lesson(number, **fields), "")
        record = SessionRecord(
            session_id=lesson.session_id, duration_minutes=1, overall_performance=Performance.GOOD
        )
        await ledger.close_lesson(lesson, 5.0, Kind.COMPLETED, Progress(), record)
        delivery.wake()
        return lesson

    return teach


def failing(method: str, *errors: ApiError | None) -> Callable[[str, Caller], ApiError | None]:
    """Make a method's first calls end like this, and the later ones succeed."""
    left = list(errors)
    return lambda called, _caller: left.pop(0) if called == method and left else None


async def within(coroutine: Awaitable[Any]) -> None:
    """Wait, but not for ever."""
    async with asyncio.timeout(30):
        await coroutine


async def test_final_progress_arrives_before_the_record(
    loqua: Any, delivery: Delivery, taught: Taught
) -> None:
    """In the order of their creation; then the outbox is empty."""
    lesson = await taught()
    await within(delivery.wait_delivered(lesson.id))
    await within(delivery.wait_idle())
    assert loqua.arrived == [("completed", "visit1"), ("record", "visit1")]
    assert loqua.begun == [lesson.opened_at]


async def test_what_a_dead_host_left_is_delivered_by_the_next(
    tmp_path: Path, loqua: Any, wall: Any, a_lesson: NewLesson
) -> None:
    """The ledger outlives the process."""
    path = tmp_path / "left.db"
    async with Ledger.open(SqliteDatabase(path)) as ledger:
        lesson = await ledger.open_lesson(a_lesson(), "")
        await ledger.save_progress(lesson, 1.0, Progress(), {})
    async with Ledger.open(SqliteDatabase(path)) as ledger:
        await ledger.take_over(["conversation"])
        delivery = Delivery(ledger, loqua, clock=wall, metrics=DeliveryMetrics(Instruments()))
        running = asyncio.create_task(delivery.run())
        await within(delivery.wait_idle())
        running.cancel()
        await asyncio.wait([running])
    assert loqua.arrived == [("in_progress", "visit1")]


async def test_a_row_is_tried_until_the_api_takes_it_with_growing_pauses(
    loqua: Any, wall: Any, delivery: Delivery, taught: Taught
) -> None:
    """Always with the same key, as the API may honour it."""
    down = UnreachableError("progress", "connection refused", sent=False)
    loqua.failing = failing("progress", *[down] * 9)
    lesson = await taught()
    await within(delivery.wait_delivered(lesson.id))
    assert loqua.arrived == [("completed", "visit1"), ("record", "visit1")]
    assert wall.slept == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60])


async def test_the_api_is_left_alone_for_as_long_as_it_asks(
    loqua: Any, wall: Any, delivery: Delivery, taught: Taught
) -> None:
    """Retry-After outweighs the pause of our own."""
    busy = UnreachableError("sessions", "429", status=429, retry_after=100.0, sent=False)
    loqua.failing = failing("sessions", busy)
    lesson = await taught()
    await within(delivery.wait_delivered(lesson.id))
    assert sum(wall.slept) == pytest.approx(100)


async def test_one_learner_whose_api_call_hangs_delays_nobody_else(
    loqua: Any, delivery: Delivery, taught: Taught
) -> None:
    """Other lessons, also those that come later, are delivered meanwhile."""
    gate = asyncio.Event()
    send = loqua.send_progress

    async def hang(caller: Caller, **sent: Any) -> None:
        if caller.room == "room1":
            await gate.wait()
        await send(caller, **sent)

    loqua.send_progress = hang
    slow = await taught(1)
    await within(delivery.wait_delivered((await taught(2)).id))
    await within(delivery.wait_delivered((await taught(3)).id))
    assert {session for _, session in loqua.arrived} == {"visit2", "visit3"}
    gate.set()
    await within(delivery.wait_delivered(slow.id))


async def test_an_answer_that_never_came_is_asked_about_before_sending_again(
    loqua: Any, delivery: Delivery, taught: Taught
) -> None:
    """The API took the record; the history shows it; it is not sent twice."""
    loqua.failing = failing("sessions", UnreachableError("sessions", "read timeout", sent=True))
    loqua.known.add("visit1")
    lesson = await taught()
    await within(delivery.wait_delivered(lesson.id))
    assert loqua.asked == ["visit1"]
    assert loqua.records == []


async def test_a_lost_record_that_the_history_lacks_is_sent_again(
    loqua: Any, delivery: Delivery, taught: Taught
) -> None:
    """Asked again after each attempt whose end is unknown, also when asking fails."""
    loqua.failing = failing("sessions", *[UnreachableError("sessions", "reset", sent=True)] * 2)
    lesson = await taught()
    await within(delivery.wait_delivered(lesson.id))
    assert loqua.asked == ["visit1", "visit1"]
    assert [record.session_id for record in loqua.records] == ["visit1"]


@pytest.mark.parametrize("error", [SuspendedError, UnreachableError])
async def test_nobody_is_asked_about_a_record_that_was_never_sent(
    loqua: Any, delivery: Delivery, taught: Taught, error: type[UnreachableError]
) -> None:
    """An open breaker or a refused connection leaves no doubt."""
    loqua.failing = failing("sessions", error("sessions", "not tried", sent=False))
    lesson = await taught()
    await within(delivery.wait_delivered(lesson.id))
    assert loqua.asked == []
    assert len(loqua.records) == 1


async def test_doubt_stays_when_a_later_attempt_was_not_sent(
    loqua: Any, delivery: Delivery, taught: Taught
) -> None:
    """The first attempt may have arrived, whatever became of the second."""
    lost = UnreachableError("sessions", "read timeout", sent=True)
    unsent = UnreachableError("sessions", "connection refused", sent=False)
    loqua.failing = failing("sessions", lost, unsent)
    lesson = await taught()
    await within(delivery.wait_delivered(lesson.id))
    assert loqua.asked == ["visit1", "visit1"]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_refused_progress_does_not_hold_up_the_record(
    loqua: Any, delivery: Delivery, taught: Taught, status: int
) -> None:
    """It is a dead letter with an error in the log, and the record goes on."""
    loqua.failing = failing("progress", RefusedError("progress", "no", status=status))
    with structlog.testing.capture_logs() as logs:
        lesson = await taught()
        await within(delivery.wait_delivered(lesson.id))
    assert loqua.arrived == [("record", "visit1")]
    assert [(log["log_level"], log["status"]) for log in logs if "status" in log] == [
        ("error", status)
    ]


@pytest.mark.parametrize("status", [400, 404])
async def test_a_record_refused_for_good_is_set_aside_and_the_alarm_raised(
    loqua: Any, delivery: Delivery, taught: Taught, ledger: Ledger, status: int
) -> None:
    """The outbox is empty; the reason stays in the ledger."""
    loqua.failing = failing("sessions", RefusedError("sessions", "no", status=status))
    with structlog.testing.capture_logs() as logs:
        lesson = await taught()
        await within(delivery.wait_delivered(lesson.id))
    assert [log["why"] for log in logs if log["event"] == "record.dead"] == ["sessions: no"]
    text = "SELECT kind, dead_reason FROM outbox"
    [dead] = await ledger._writer.write(lambda db: db.execute(text).fetchall())
    assert tuple(dead.values()) == ("record", "sessions: no")


@pytest.mark.parametrize(
    ("refusal", "unknown"),
    [
        (RefusedError("user-token", "no", status=404, code="NOT_FOUND"), 1),
        (RefusedError("sessions", "no", status=404, code="USER_NOT_FOUND"), 1),
        (RefusedError("sessions", "no", status=404, code="SESSION_NOT_FOUND"), 0),
        (RefusedError("sessions", "no", status=404), 0),
        (RefusedError("sessions", "no", status=400, code="USER_MISSING"), 0),
    ],
)
async def test_only_what_says_that_the_learner_is_unknown_counts_as_that(
    loqua: Any,
    delivery: Delivery,
    taught: Taught,
    ledger: Ledger,
    refusal: RefusedError,
    unknown: int,
) -> None:
    """Records of learners who are unknown are forgotten sooner than others."""
    loqua.failing = failing("sessions", refusal)
    lesson = await taught()
    await within(delivery.wait_delivered(lesson.id))
    text = "SELECT unknown_learner FROM outbox"
    [dead] = await ledger._writer.write(lambda db: db.execute(text).fetchall())
    assert dead["unknown_learner"] == unknown


@pytest.mark.parametrize(
    "refusal",
    [
        RefusedError("user-token", "Agent authentication failed", status=401),
        RefusedError("sessions", "permission session.create is missing", status=403),
        TokenError("wrong_secret", "Token decryption failed"),
    ],
)
async def test_a_record_waits_for_a_mend_of_the_agents_own_access(
    loqua: Any, delivery: Delivery, taught: Taught, refusal: RefusedError
) -> None:
    """An expired agent JWT costs no record: it is delivered once there is another."""
    loqua.failing = failing("sessions", *[refusal] * 5)
    with structlog.testing.capture_logs() as logs:
        lesson = await taught()
        await within(delivery.wait_delivered(lesson.id))
    assert len(loqua.records) == 1
    assert sum(log["event"] == "record.refused" for log in logs) == 5


async def test_a_record_that_nobody_makes_acceptable_is_given_up_in_the_end(
    loqua: Any, wall: Any, delivery: Delivery, taught: Taught
) -> None:
    """Learning data is not kept for ever."""
    loqua.failing = lambda method, _caller: (
        RefusedError("sessions", "no", status=403) if method == "sessions" else None
    )
    wall.seconds += RETRY_WINDOW - 100
    lesson = await taught()
    await within(delivery.wait_delivered(lesson.id))
    assert loqua.records == []


async def test_a_row_that_this_version_cannot_read_holds_nothing_up(
    delivery: Delivery, taught: Taught, ledger: Ledger, a_lesson: NewLesson
) -> None:
    """It becomes a dead letter, and its log line shows no learning data."""
    lesson = await ledger.open_lesson(a_lesson(2), "")
    payload = """INSERT INTO outbox (lesson_id, kind, idempotency_key, payload, owner)
        SELECT 'lesson2', 'record', 'k', '{"secret": "word"}', owner FROM lesson
        WHERE id = 'lesson2'"""
    await ledger._writer.write(lambda db: db.execute(payload))
    with structlog.testing.capture_logs() as logs:
        await within(delivery.wait_delivered((await taught()).id))
        await within(delivery.wait_delivered(lesson.id))
    [alarm] = [log for log in logs if log["event"] == "record.dead"]
    assert "session_id" in alarm["why"]
    assert "word" not in alarm["why"]


async def test_progress_made_while_older_progress_is_under_way_is_sent_after_it(
    loqua: Any, delivery: Delivery, ledger: Ledger, a_lesson: NewLesson
) -> None:
    """The old one's arrival does not cost the new one."""
    loqua.gates["progress"] = asyncio.Event()
    lesson = await ledger.open_lesson(a_lesson(), "")
    await ledger.save_progress(lesson, 1.0, Progress(words_learned=1), {})
    delivery.wake()
    while not (row := await ledger.next_entry(lesson.id)) or not row.attempts:  # noqa: ASYNC110  # no event says so
        await asyncio.sleep(0)
    await ledger.save_progress(lesson, 2.0, Progress(words_learned=2), {})
    delivery.wake()
    loqua.gates["progress"].set()
    await within(delivery.wait_delivered(lesson.id))
    assert [progress.words_learned for progress in loqua.sent["visit1"]] == [1, 2]
    assert len(set(loqua.keys)) == 2


@pytest.mark.parametrize("step", [-1800, -3600, 3600, -1e8])
async def test_what_waits_goes_out_in_its_time_though_the_clock_was_set(
    loqua: Any, wall: Any, delivery: Delivery, taught: Taught, step: float
) -> None:
    """It is sent neither earlier nor later than the API asked for."""
    down = UnreachableError("sessions", "429", retry_after=600.0, sent=False)

    def fail_once(_method: str, _caller: Caller) -> ApiError | None:
        loqua.failing = failing("none")
        wall.step = step
        return down

    loqua.failing = fail_once
    begun = wall.monotonic()
    lesson = await taught()
    await within(delivery.wait_delivered(lesson.id))
    assert 600 <= wall.monotonic() - begun <= 700


async def test_what_a_clock_far_ahead_has_dated_is_sent_after_a_minute(
    ledger: Ledger, loqua: Any, wall: Any, a_lesson: NewLesson
) -> None:
    """By the host that goes on with it, or by this one started anew; whatever is set meanwhile."""
    lesson = await ledger.open_lesson(a_lesson(), "")
    await ledger.save_progress(lesson, 1.0, Progress(), {})
    row = await ledger.next_entry(lesson.id)
    assert row is not None
    await ledger.postpone(row, wall.now() + 1800, maybe_delivered=False)
    begun = wall.monotonic()
    delivery = Delivery(ledger, loqua, clock=wall, metrics=DeliveryMetrics(Instruments()))
    running = asyncio.create_task(delivery.run())
    await within(delivery.wait_delivered(lesson.id))
    running.cancel()
    await asyncio.wait([running])
    assert wall.monotonic() - begun == pytest.approx(60)


async def test_a_hundred_lessons_at_once_are_each_delivered_once(
    loqua: Any, delivery: Delivery, taught: Taught
) -> None:
    """No wake-up is lost however they interleave, and nothing is idle before its time."""
    lessons = await asyncio.gather(*(taught(number) for number in range(100)))
    await within(asyncio.gather(*(delivery.wait_delivered(lesson.id) for lesson in lessons)))
    await within(delivery.wait_idle())
    assert sorted(loqua.arrived) == sorted(
        (kind, lesson.session_id) for lesson in lessons for kind in ("completed", "record")
    )


async def test_a_long_backlog_does_not_take_every_connection(
    loqua: Any, delivery: Delivery, taught: Taught
) -> None:
    """Lessons that run have the API, too, and no call waits for so long that it times out."""
    loqua.gates["progress"] = asyncio.Event()
    at_once = most = 0
    send = loqua.send_progress

    async def counted(caller: Caller, **sent: Any) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await send(caller, **sent)
        at_once -= 1

    loqua.send_progress = counted
    await asyncio.gather(*(taught(number) for number in range(50)))
    while at_once < MAX_SENDS:  # noqa: ASYNC110  # no event says so
        await asyncio.sleep(0)
    loqua.gates["progress"].set()
    await within(delivery.wait_idle())
    assert most == MAX_SENDS


async def test_idle_again_only_once_the_news_is_delivered(
    loqua: Any, delivery: Delivery, taught: Taught
) -> None:
    """A host that is about to stop does not leave what just came in."""
    await within(delivery.wait_idle())
    for number in range(1, 20):
        await taught(number)
        await within(delivery.wait_idle())
        assert len(loqua.records) == number


async def test_a_lesson_with_nothing_pending_is_delivered_at_once(delivery: Delivery) -> None:
    """Also one that nobody knows."""
    await within(delivery.wait_delivered("unknown"))


async def test_a_fault_of_the_hosts_own_costs_only_the_lesson_it_came_up_in(
    loqua: Any, wall: Any, delivery: Delivery, taught: Taught
) -> None:
    """It is logged with its place but without its words, and retried a minute later."""
    faults: list[Exception] = [KeyError("what maria said"), ZeroDivisionError()]
    send = loqua.send_progress

    async def stumble(caller: Caller, **sent: Any) -> None:
        if caller.room == "room1" and faults:
            raise faults.pop(0)
        await send(caller, **sent)

    loqua.send_progress = stumble
    with structlog.testing.capture_logs() as logs:
        stumbled, other = await taught(1), await taught(2)
        await within(delivery.wait_delivered(other.id))
        await within(delivery.wait_delivered(stumbled.id))
    assert sorted(loqua.arrived) == sorted(
        (kind, session) for kind in ("completed", "record") for session in ("visit1", "visit2")
    )
    failed = [log for log in logs if log["event"] == "delivery.failed"]
    assert [(log["log_level"], log["why"]) for log in failed] == [
        ("error", "KeyError"),
        ("error", "ZeroDivisionError"),
    ]
    assert "maria" not in str(failed)
    assert "delivery.py" in str(failed[0]["at"])
    assert wall.slept == [60, 60]


async def test_lessons_that_wait_leave_their_slots_to_others_of_a_long_backlog(
    loqua: Any, ledger: Ledger, a_lesson: NewLesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are refused for now, and over however many pages they are spread."""
    monkeypatch.setattr("loqua_host.records.delivery.MAX_LESSONS", 2)
    monkeypatch.setattr("loqua_host.records.outbox.PAGE", 3)
    for number in range(10):
        lesson = await ledger.open_lesson(a_lesson(number), "")
        await ledger.save_progress(lesson, 1.0, Progress(), {})
    down = UnreachableError("progress", "429", retry_after=60.0, sent=False)
    loqua.failing = lambda _, caller: None if caller.room in {"room7", "room9"} else down
    delivery = Delivery(ledger, loqua, clock=SystemClock(), metrics=DeliveryMetrics(Instruments()))
    async with background() as tasks:
        tasks.create_task(delivery.run())
        await within(delivery.wait_delivered("lesson9"))
        await within(delivery.wait_delivered("lesson7"))
    assert sorted(session for _, session in loqua.arrived) == ["visit7", "visit9"]


async def test_a_tick_does_not_search_the_ledger_for_lessons(
    loqua: Any, wall: Any, ledger: Ledger, a_lesson: NewLesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lesson is known; the others' entries are read at the start and every ten seconds."""
    searches, searching = [], ledger.pending_lessons

    async def search(after: str) -> Any:
        searches.append(after)
        return await searching(after)

    monkeypatch.setattr(ledger, "pending_lessons", search)
    delivery = Delivery(ledger, loqua, clock=wall, metrics=DeliveryMetrics(Instruments()))
    lesson = await ledger.open_lesson(a_lesson(), "")
    async with background() as tasks:
        tasks.create_task(delivery.run())
        await within(delivery.wait_idle())
        searches.clear()
        for number in range(1, 4):
            await ledger.save_progress(lesson, 30.0 * number, Progress(), {})
            delivery.wake(lesson.id)
            await within(delivery.wait_delivered(lesson.id))
        assert searches == []
    assert loqua.arrived == [("in_progress", "visit1")] * 3


async def test_what_another_host_adds_is_found_though_this_one_always_has_something_to_send(
    loqua: Any, wall: Any, delivery: Delivery, ledger: Ledger, a_lesson: NewLesson
) -> None:
    """Each tick put the search off by as long again, and a busy host never searched."""
    own, other = [await ledger.open_lesson(a_lesson(number), "") for number in (1, 2)]
    await within(delivery.wait_idle())
    await ledger.save_progress(other, 1.0, Progress(), {})
    for tick in range(1, 4):
        wall.seconds += POLL_INTERVAL / 2
        await ledger.save_progress(own, tick, Progress(), {})
        delivery.wake(own.id)
        await within(delivery.wait_delivered(own.id))
    async with asyncio.timeout(POLL_INTERVAL / 2):
        while ("in_progress", "visit2") not in loqua.arrived:  # noqa: ASYNC110  # no event says so
            await asyncio.sleep(0)


async def test_a_lesson_that_runs_goes_before_a_long_backlog(
    loqua: Any, wall: Any, ledger: Ledger, a_lesson: NewLesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its learner is there; the others left long ago."""
    monkeypatch.setattr("loqua_host.records.delivery.MAX_LESSONS", 2)
    for number in range(10):
        lesson = await ledger.open_lesson(a_lesson(number), "")
        await ledger.save_progress(lesson, 1.0, Progress(), {})
    loqua.gates["progress"] = asyncio.Event()
    delivery = Delivery(ledger, loqua, clock=wall, metrics=DeliveryMetrics(Instruments()))
    async with background() as tasks:
        tasks.create_task(delivery.run())
        while len(delivery._under_way) < 2:  # noqa: ASYNC110  # no event says so
            await asyncio.sleep(0)
        delivery.wake("lesson9")
        loqua.gates["progress"].set()
        await within(delivery.wait_idle())
    arrived = [session for _, session in loqua.arrived]
    assert sorted(arrived) == [f"visit{number}" for number in range(10)]
    assert arrived.index("visit9") <= 4


async def test_a_fault_while_the_ledger_is_read_ends_no_delivery(
    loqua: Any, wall: Any, ledger: Ledger, a_lesson: NewLesson, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins again, with every lesson that was under way."""
    loqua.gates["progress"] = asyncio.Event()
    delivery = Delivery(ledger, loqua, clock=wall, metrics=DeliveryMetrics(Instruments()))
    owing, faults = ledger.pending_lessons, [KeyError("what maria said")]

    async def stumble(after: str) -> Any:
        if delivery._under_way and faults:
            raise faults.pop()
        return await owing(after)

    monkeypatch.setattr(ledger, "pending_lessons", stumble)
    lesson = await ledger.open_lesson(a_lesson(1), "")
    await ledger.save_progress(lesson, 1.0, Progress(), {})
    with structlog.testing.capture_logs() as logs:
        async with supervised() as tasks:
            tasks.create_task(forever(delivery.run))
            while faults:  # no event says so
                delivery.wake()
                await asyncio.sleep(0)
            loqua.gates["progress"].set()
            await within(delivery.wait_delivered(lesson.id))
    assert loqua.arrived == [("in_progress", "visit1")]
    [caught] = [line for line in logs if line["event"] == "error.caught"]
    assert (caught["task"], caught["why"]) == ("Delivery.run", "KeyError")


async def test_attempts_are_counted_by_what_is_sent_and_what_became_of_it(
    loqua: Any, delivery: Delivery, taught: Taught, instruments: Instruments
) -> None:
    """A row that is tried again counts each time; a bug of the host's counts by itself."""
    errors = {
        "progress": [UnreachableError("progress", "503"), RefusedError("progress", "no")],
        "sessions": [RefusedError("sessions", "no", status=403), KeyError("maria")],
    }

    def fail(method: str, _caller: Caller) -> Any:
        left = errors.get(method)
        return left.pop(0) if left else None

    loqua.failing = fail
    lesson = await taught()
    await within(delivery.wait_delivered(lesson.id))
    attempts = {
        (what, outcome): instruments.registry.get_sample_value(
            "loqua_deliveries_total", {"what": what, "outcome": outcome}
        )
        for what in ("record", "progress")
        for outcome in ("delivered", "postponed", "dead")
    }
    assert attempts == {
        ("progress", "postponed"): 1,
        ("progress", "dead"): 1,
        ("progress", "delivered"): 0,
        ("record", "delivered"): 1,
        ("record", "postponed"): 0,
        ("record", "dead"): 0,
    }
    refused = {"what": "record", "outcome": "refused"}
    assert instruments.registry.get_sample_value("loqua_deliveries_total", refused) == 1
    assert instruments.registry.get_sample_value("loqua_delivery_faults_total") == 1
