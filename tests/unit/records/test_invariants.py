"""The promises in the docstring of `loqua_host.records`, kept whatever happens in whatever order.

Hypothesis interleaves ticks, ends, crashes, answers of the API and jumps of the wall clock. The
database is a real file. A crash at any await is a copy of the files as they are right then: what
SQLite has committed by that time is all that the next host finds. The writer runs in the event
loop's own thread, so that each interleaving can be repeated.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from loqua_host.contract.records import Performance, Progress, SessionRecord
from loqua_host.core import Caller
from loqua_host.errors import RefusedError, TokenError, UnreachableError
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.sqlite import SqliteDatabase

FINAL = ("completed", "failed")
SETTLED = 300
"""Turns of the loop in which everything that can go on has gone on."""

LOST = UnreachableError("any", "the answer was lost", sent=True)
ANSWERS: dict[str, Exception | None] = {
    "taken": None,
    "taken, answer lost": LOST,
    "lost on its way": LOST,
    "unreachable": UnreachableError("any", "connection refused", sent=False),
    "busy": UnreachableError("any", "429", status=429, retry_after=90.0, sent=False),
    "refused": RefusedError("any", "no", status=400),
    "agent refused": RefusedError("user-token", "Agent authentication failed", status=401),
    "token unusable": TokenError("wrong_secret", "Token decryption failed"),
}

turns = st.sampled_from([0, 1, 2, 3, 5, 8, 13, SETTLED, SETTLED, SETTLED])


class Inline(Executor):
    """Does what it is given at once, where it is given."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Give what is already done."""
        done: Future[Any] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # the future carries it, as any executor's
            done.set_exception(error)
        return done


@dataclass(eq=False)
class Call:
    """A request that waits for its answer."""

    take: Callable[[], Any]
    answer: asyncio.Future[Any] = field(default_factory=asyncio.Future)


class ModelApi:
    """A Loqua API that answers when, and as, it is told to."""

    def __init__(self, *, honours_keys: bool) -> None:
        self.honours_keys = honours_keys
        self.arrived: dict[str, list[tuple[str, int]]] = {}
        self.waiting: list[Call] = []
        self._keys: set[str] = set()

    async def send_progress(
        self, _: Caller, *, session_id: str, status: str, progress: Progress, key: str
    ) -> None:
        """Take progress, some time."""
        await self._ask(lambda: self._keep(session_id, status, progress.words_learned, key))

    async def create_session(self, _: Caller, record: SessionRecord, *, key: str) -> None:
        """Take a record, some time."""
        await self._ask(lambda: self._keep(record.session_id, "record", 0, key))

    async def session_known(self, _: Caller, session_id: str) -> bool:
        """Look into the history, some time."""
        known: bool = await self._ask(lambda: self.records(session_id) > 0)
        return known

    def records(self, session_id: str) -> int:
        """Count the records of a session."""
        return sum(what == "record" for what, _ in self.arrived.get(session_id, []))

    def _keep(self, session_id: str, what: str, words: int, key: str) -> None:
        if not (self.honours_keys and key in self._keys):
            self.arrived.setdefault(session_id, []).append((what, words))
        self._keys.add(key)

    async def _ask(self, take: Callable[[], Any]) -> Any:
        call = Call(take)
        self.waiting.append(call)
        try:
            return await call.answer
        finally:
            self.waiting.remove(call)

    def answer(self, call: Call, how: str) -> None:
        """Have a call end."""
        taken = call.take() if how.startswith("taken") else None
        error = ANSWERS[how]
        if error is None:
            call.answer.set_result(taken)
        else:
            call.answer.set_exception(error)


class ModelClock:
    """A wall clock that jumps, over time that passes when it is told to."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.offset = 1_800_000_000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        """Give the time that has passed."""
        return self.passed

    def now(self) -> float:
        """Give what the wall shows."""
        return self.passed + self.offset

    async def sleep(self, seconds: float) -> None:
        """Wait until that much has passed."""
        waking: asyncio.Future[None] = asyncio.Future()
        self._sleepers.append((self.passed + seconds, waking))
        await waking

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += seconds
        for due, waking in self._sleepers:
            if due <= self.passed and not waking.done():
                waking.set_result(None)
        self._sleepers = [(due, waking) for due, waking in self._sleepers if not waking.done()]


@dataclass(eq=False)
class Taught:
    """A lesson, and what the host was told is kept of it."""

    row: LessonRow
    words: int = 0
    kept: int = 0
    end: asyncio.Task[None] | None = None
    recorded: bool = False


class RecordsMachine(RuleBasedStateMachine):
    """A host that opens, ticks and ends lessons, dies and comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="ledger-"))
        self.generation = 0
        self.clock = ModelClock()
        self.lessons: dict[str, Taught] = {}
        self.quiet = structlog.testing.capture_logs()
        self.quiet.__enter__()

    @initialize(honours_keys=st.booleans())
    def begin(self, honours_keys: bool) -> None:
        """Start the first host."""
        self.api = ModelApi(honours_keys=honours_keys)
        self.run(self._start())

    @rule(visit=st.integers(1, 2), after=turns)
    def open(self, visit: int, after: int) -> None:
        """A lesson begins; its visit may have had others."""
        number = len(self.lessons)
        row = LessonRow(
            id=f"lesson{number}",
            session_id="",
            visit=f"visit{visit}",
            user_id="maria",
            room=f"room{number}",
            tutor="conversation",
            agent_id="loqua-tutor",
            opened_at=self.clock.now(),
        )
        opened = self.run(self.ledger.open_lesson(row, ""))
        assert opened.session_id not in {one.row.session_id for one in self.lessons.values()}
        self.lessons[row.id] = Taught(opened)
        self.turn(after)

    @precondition(lambda self: self.lessons)
    @rule(which=st.integers(0, 9), words=st.integers(0, 3), after=turns)
    def tick(self, which: int, words: int, after: int) -> None:
        """A job reports progress, also one that does not know that its lesson is over."""
        lesson = self._pick(which)
        if lesson.end is None:
            lesson.words += words
        told = Progress(words_learned=lesson.words)
        self.run(self.ledger.keep_progress(lesson.row, 1.0, told, {}))
        lesson.kept = lesson.words
        self.delivery.wake()
        self.turn(after)

    @precondition(lambda self: any(one.end is None for one in self.lessons.values()))
    @rule(which=st.integers(0, 9), status=st.sampled_from([Kind.COMPLETED, Kind.FAILED]), at=turns)
    def end(self, which: int, status: Kind, at: int) -> None:
        """A lesson ends; the host may die before it hears that the record is kept."""
        lesson = self._pick(which, lambda one: one.end is None)
        lesson.end = self.runner.get_loop().create_task(self._end(lesson, status))
        self.turn(at)

    @precondition(lambda self: self.api.waiting)
    @rule(
        which=st.integers(0, 9),
        how=st.sampled_from(sorted(ANSWERS)),
        after=turns,
        pause=st.sampled_from([0.0, 60.0]),
    )
    def answer(self, which: int, how: str, after: int, pause: float) -> None:
        """The API answers one of the requests under way, in whatever order."""
        self.api.answer(self.api.waiting[which % len(self.api.waiting)], how)
        self.turn(after)
        self.clock.pass_time(pause)
        self.turn(after)

    @rule(seconds=st.sampled_from([1.0, 30.0, 60.0, 3600.0]), after=turns)
    def wait(self, seconds: float, after: int) -> None:
        """Time goes by."""
        self.clock.pass_time(seconds)
        self.turn(after)

    @rule(seconds=st.sampled_from([-1e8, -3600.0, 3600.0, 1e6]))
    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.clock.offset += seconds

    @rule(arrives=st.booleans())
    def crash(self, arrives: bool) -> None:
        """The process is gone, what it was sending arrives or not, and another one starts."""
        self._note_ends()
        if arrives:
            for call in self.api.waiting:
                call.take()
        left = self._copy()
        self.run(self._stop())
        self.path = left
        self.run(self._start())

    @invariant()
    def arrives_in_order_and_once(self) -> None:
        """Progress never falls, nothing follows a final one but the record, nothing that."""
        for session_id, arrived in self.api.arrived.items():
            stages = [
                0 if what == "in_progress" else 1 if what in FINAL else 2 for what, _ in arrived
            ]
            assert stages == sorted(stages), (session_id, arrived)
            words = [count for what, count in arrived if what != "record"]
            assert words == sorted(words), (session_id, arrived)
            assert stages.count(2) <= 1, (session_id, arrived)

    @invariant()
    def owes_one_progress_and_loses_no_record(self) -> None:
        """What the ledger said it has, it has, until the API has it."""
        if not hasattr(self, "ledger"):
            return
        self._note_ends()
        found = self._rows()
        unsent = Counter(lesson for lesson, kind, dead in found if kind != "record" and not dead)
        assert all(number == 1 for number in unsent.values()), found
        held = {lesson for lesson, kind, _ in found if kind == "record"}
        for lesson in self.lessons.values():
            if lesson.recorded:
                assert lesson.row.id in held or self.api.records(lesson.row.session_id), lesson

    def teardown(self) -> None:
        """After a last crash, an API in good health gets everything, once."""
        try:
            if hasattr(self, "ledger"):
                self.crash(arrives=False)
                self._deliver_all()
                self._compare()
        finally:
            self.quiet.__exit__(None, None, None)
            if hasattr(self, "ledger"):
                self.run(self._stop())
            self.runner.close()
            shutil.rmtree(self.directory)

    def _deliver_all(self) -> None:
        for _ in range(500):
            self.turn(30)
            if not self.run(self.ledger.owing()):
                return
            for call in list(self.api.waiting):
                self.api.answer(call, "taken")
            if not self.api.waiting:
                self.clock.pass_time(60.0)
        raise AssertionError("something is owed for ever")

    def _compare(self) -> None:
        dead = {(lesson, kind): why for lesson, kind, why in self._rows()}
        assert all(dead.values())
        for lesson in self.lessons.values():
            arrived = self.api.arrived.get(lesson.row.session_id, [])
            told = [words for what, words in arrived if what in FINAL]
            if lesson.recorded and (lesson.row.id, "record") not in dead:
                assert self.api.records(lesson.row.session_id) == 1, lesson
            if lesson.recorded and not {(lesson.row.id, status) for status in FINAL} & dead.keys():
                assert told, lesson
                assert told[-1] == lesson.words, lesson

    def _rows(self) -> list[tuple[str, str, str | None]]:
        rows = self.raw.execute("SELECT lesson, kind, dead_because FROM owed").fetchall()
        return [(row["lesson"], row["kind"], row["dead_because"]) for row in rows]

    def _pick(self, which: int, fits: Callable[[Taught], bool] = lambda _: True) -> Taught:
        fitting = [one for one in self.lessons.values() if fits(one)]
        return fitting[which % len(fitting)]

    async def _end(self, lesson: Taught, status: Kind) -> None:
        record = SessionRecord(
            session_id=lesson.row.session_id,
            duration_minutes=1,
            overall_performance=Performance.GOOD,
        )
        final = Progress(words_learned=lesson.words)
        await self.ledger.close_lesson(lesson.row, self.clock.now(), status, final, record)
        self.delivery.wake()

    def _note_ends(self) -> None:
        for lesson in self.lessons.values():
            if lesson.end is not None and lesson.end.done() and not lesson.end.cancelled():
                lesson.end.result()
                lesson.recorded = True

    def _copy(self) -> Path:
        self.generation += 1
        copy = self.directory / str(self.generation)
        copy.mkdir()
        for file in self.path.parent.iterdir():
            if not file.name.endswith("-shm"):
                shutil.copy(file, copy)
        return copy / self.path.name

    async def _start(self) -> None:
        if not hasattr(self, "path"):
            self.path = self.directory / "0" / "ledger.db"
        self.opened = AsyncExitStack()
        database = SqliteDatabase(self.path)
        self.ledger = await self.opened.enter_async_context(Ledger.open(database))
        database.raw.execute("PRAGMA synchronous = OFF")
        self.raw = database.raw
        self.ledger._writer._thread = Inline()
        self.delivery = Delivery(self.ledger, self.api, clock=self.clock, jitter=lambda: 1.0)  # type: ignore[arg-type]  # a model
        self.delivering = asyncio.create_task(self.delivery.run())
        await self._find_open()

    async def _find_open(self) -> None:
        """What was kept is kept: ends that were acknowledged, and the last progress."""
        await self.ledger.adopt()
        self.delivery.wake()
        found = {row.id: row for row in await self.ledger.interrupted()}
        for lesson in self.lessons.values():
            if lesson.row.id in found:
                assert not lesson.recorded
                kept = found[lesson.row.id].progress or Progress()
                assert kept.words_learned >= lesson.kept
                lesson.end = None
            else:
                lesson.recorded = True

    async def _stop(self) -> None:
        ends = [one.end for one in self.lessons.values() if one.end is not None]
        for task in (self.delivering, *ends):
            task.cancel()
        await asyncio.wait([self.delivering, *ends])
        await self.opened.aclose()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run the loop until the work is done."""
        return self.runner.run(work)

    def turn(self, times: int) -> None:
        """Turn the loop that many times."""
        self.run(_turn(times))


async def _turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


RecordsMachine.TestCase.settings = settings(
    max_examples=50,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)
TestRecords = RecordsMachine.TestCase
