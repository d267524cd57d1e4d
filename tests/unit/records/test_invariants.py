"""The invariants in the docstring of `loqua_host.records`, under any sequence of events.

Hypothesis interleaves ticks, ends, crashes, answers of the API, jumps of the wall clock, losses of
leases and adoptions, of one host or of two that share a ledger. The database is a real file. A
crash at any await leaves what was committed by then. The writers run in the event loop's own
thread, so that each interleaving can be repeated.
"""

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
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
from loqua_host.errors import (
    LearnerError,
    LedgerError,
    RefusedError,
    TokenError,
    UnreachableError,
)
from loqua_host.observability.metrics import Instruments
from loqua_host.records.delivery import Delivery
from loqua_host.records.ledger import Kind, Ledger, LessonRow
from loqua_host.records.metrics import DeliveryMetrics
from loqua_host.records.sqlite import SqliteDatabase

FINAL = ("completed", "failed")
SETTLED = 300
"""Turns of the loop in which everything that can go on has gone on."""

LOST = UnreachableError("any", "the answer was lost", sent=True)
NEVER_SENT = UnreachableError("any", "connection refused", sent=False)
ANSWERS: dict[str, Exception | None] = {
    "taken": None,
    "taken, answer lost": LOST,
    "lost on its way": LOST,
    "unreachable": NEVER_SENT,
    "busy": UnreachableError("any", "429", status=429, retry_after=90.0, sent=False),
    "refused": RefusedError("any", "no", status=400),
    "agent refused": RefusedError("user-token", "Agent authentication failed", status=401),
    "token unusable": TokenError("wrong_secret", "Token decryption failed"),
}

LAPSE = "UPDATE host SET lease_until = unix_now() - ? WHERE id = ?"
LONG_DEAD = "SELECT 1 FROM host WHERE lease_until <= unix_now() - 59 AND id <> ''"
"""Hosts whose lessons are open to whoever takes them."""

hosts = st.integers(0, 1)
turns = st.sampled_from([0, 1, 2, 3, 5, 8, 13, SETTLED, SETTLED, SETTLED])


class Inline(Executor):
    """A thread pool that runs each call at once, in the caller's thread."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return what is already done."""
        done: Future[Any] = Future()
        try:
            done.set_result(work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  # the future carries it, as any executor's
            done.set_exception(error)
        return done


@dataclass(eq=False)
class PendingRequest:
    """A request that waits for its answer."""

    take: Callable[[], Any]
    answer: asyncio.Future[Any] = field(default_factory=asyncio.Future)


class ModelApi:
    """A Loqua API that answers when, and as, a test says."""

    def __init__(self, *, honours_keys: bool) -> None:
        self.honours_keys = honours_keys
        self.out_of_reach = False
        self.arrived: dict[str, list[tuple[str, int]]] = {}
        self.waiting: list[PendingRequest] = []
        self._keys: set[str] = set()

    async def send_progress(
        self,
        own: list[PendingRequest],
        _: Caller,
        *,
        session_id: str,
        status: str,
        progress: Progress,
        key: str,
    ) -> None:
        """Take progress, some time."""
        await self._ask(own, lambda: self._keep(session_id, status, progress.words_learned, key))

    async def create_session(
        self,
        own: list[PendingRequest],
        _: Caller,
        record: SessionRecord,
        *,
        key: str,
        **_started: float,
    ) -> None:
        """Take a record, some time."""
        await self._ask(own, lambda: self._keep(record.session_id, "record", 0, key))

    async def session_known(self, own: list[PendingRequest], _: Caller, session_id: str) -> bool:
        """Look into the history, some time."""
        known: bool = await self._ask(own, lambda: self.records(session_id) > 0)
        return known

    def records(self, session_id: str) -> int:
        """Count the records of a session."""
        return sum(what == "record" for what, _ in self.arrived.get(session_id, []))

    def _keep(self, session_id: str, what: str, words: int, key: str) -> None:
        if not (self.honours_keys and key in self._keys):
            self.arrived.setdefault(session_id, []).append((what, words))
        self._keys.add(key)

    async def _ask(self, own: list[PendingRequest], take: Callable[[], Any]) -> Any:
        if self.out_of_reach:
            raise NEVER_SENT
        call = PendingRequest(take)
        self.waiting.append(call)
        own.append(call)
        try:
            return await call.answer
        finally:
            self.waiting.remove(call)
            own.remove(call)

    def answer(self, call: PendingRequest, how: str) -> None:
        """End a call."""
        taken = call.take() if how.startswith("taken") else None
        error = ANSWERS[how]
        if error is None:
            call.answer.set_result(taken)
        else:
            call.answer.set_exception(error)


class HostCalls:
    """The API as one host calls it."""

    def __init__(self, api: ModelApi) -> None:
        self.api = api
        self.waiting: list[PendingRequest] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Return a method of the API that notes which calls are this host's."""
        return partial(getattr(self.api, name), self.waiting)


class ModelClock:
    """A wall clock that jumps, and a monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.offset = 1_800_000_000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        """Return the time that has passed."""
        return self.passed

    def now(self) -> float:
        """Return what the wall shows."""
        return self.passed + self.offset

    async def sleep(self, seconds: float) -> None:
        """Wait until that much has passed."""
        waking: asyncio.Future[None] = asyncio.Future()
        self._sleepers.append((self.passed + seconds, waking))
        await waking

    def pass_time(self, seconds: float) -> None:
        """Advance the clock."""
        self.passed += seconds
        for due, waking in self._sleepers:
            if due <= self.passed and not waking.done():
                waking.set_result(None)
        self._sleepers = [(due, waking) for due, waking in self._sleepers if not waking.done()]


class Shared(SqliteDatabase):
    """A database file that several hosts share, like a server."""

    def open(self) -> None:
        """Connect as one of them."""
        self._path.parent.mkdir(exist_ok=True)
        self._connect()
        self._migrate()
        self.raw.execute("PRAGMA synchronous = OFF")


class RecordsHost:
    """A host with its records only."""

    async def start(self, path: Path, api: ModelApi, clock: ModelClock) -> None:
        """Open the ledger and begin to deliver."""
        self.database = Shared(path)
        self.opened = AsyncExitStack()
        self.ledger = await self.opened.enter_async_context(Ledger.open(self.database))
        self.ledger._writer._thread = Inline()
        self.calls, self.clock = HostCalls(api), clock
        self._deliver()

    def _deliver(self) -> None:
        self.delivery = Delivery(
            self.ledger,
            self.calls,  # type: ignore[arg-type]  # a model
            clock=self.clock,
            metrics=DeliveryMetrics(Instruments()),
            jitter=lambda: 1.0,
        )
        self.delivering = asyncio.create_task(self.delivery.run())

    async def without_ledger(self, meanwhile: Coroutine[Any, Any, None]) -> None:
        """Disconnect the ledger for longer than the lease; then deliver again."""
        self.delivering.cancel()
        await asyncio.wait([self.delivering])
        self.end_lease(1e4)
        await meanwhile
        self._deliver()

    async def take_over(self, *, runs: bool = True) -> list[LessonRow]:
        """Do what a host does every few seconds, with the tutor or without it."""
        await self.ledger.take_over(["conversation"] if runs else [])
        self.delivery.wake()
        return await self.ledger.interrupted()

    async def die(self) -> None:
        """Kill the host while it holds the lease: the database is as it was committed."""
        self.delivering.cancel()
        await asyncio.wait([self.delivering])
        self.database.close()
        with suppress(LedgerError):
            await self.opened.aclose()

    def end_lease(self, ago: float) -> None:
        """Expire the lease, which no call outlasts."""
        for call in self.calls.waiting:
            self.calls.api.answer(call, "lost on its way")
        self.database.raw.execute(LAPSE, (ago, self.ledger._host))


@dataclass(eq=False)
class RecordsJob:
    """A job of a lesson, and the messages that its host acknowledged."""

    row: LessonRow
    host: RecordsHost
    words: int
    end: asyncio.Task[None] | None = None


@dataclass(eq=False)
class Taught:
    """A lesson: its last job, its acknowledged progress, and whether its record was acknowledged.

    Attributes:
        given_up: The words it was closed with when it was closed without its job.
    """

    job: RecordsJob
    saved: int = 0
    recorded: bool = False
    given_up: int | None = None


class RecordsMachine(RuleBasedStateMachine):
    """Hosts that share a ledger, open, tick and end lessons, lose leases, die and come back."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="ledger-"))
        self.path = self.directory / "ledger.db"
        self.clock = ModelClock()
        self.hosts: list[RecordsHost] = []
        self.dead: list[str] = []
        self.lessons: dict[str, Taught] = {}
        self.zombies: list[RecordsJob] = []
        self.quiet = structlog.testing.capture_logs()
        self.quiet.__enter__()

    @initialize(honours_keys=st.booleans(), hosts=st.integers(1, 2))
    def begin(self, honours_keys: bool, hosts: int) -> None:
        """Start the first hosts."""
        self.api = ModelApi(honours_keys=honours_keys)
        self.hosts = [self._start() for _ in range(hosts)]
        for room in (1, 2):
            self._open(self.hosts[0], room)

    @rule(which=hosts, room=st.integers(1, 3), after=turns)
    def open(self, which: int, room: int, after: int) -> None:
        """A job begins."""
        self._open(self._host(which), room)
        self.turn(after)

    def _open(self, host: RecordsHost, room: int) -> None:
        """Open a lesson; one of a room is enough, and an interrupted one goes on."""
        number = len(self.lessons) + len(self.zombies)
        row = LessonRow(
            id=f"lesson{number}",
            session_id="",
            visit=f"visit{room}",
            user_id="maria",
            room=f"room{room}",
            tutor="conversation",
            agent_id="loqua-tutor",
            opened_at=self.clock.now(),
        )
        before = {one.job.row.id: one for one in self._open_in(row.room)}
        try:
            opened = self.run(host.ledger.open_lesson(row, ""))
        except LearnerError:
            assert before, "nobody teaches there"
            return
        if opened.id == row.id:
            assert not before, "the lesson that was interrupted goes on"
            assert opened.session_id not in {
                one.job.row.session_id for one in self.lessons.values()
            }
            self.lessons[row.id] = Taught(RecordsJob(opened, host, 0))
        else:
            lesson = before[opened.id]
            assert opened.restarts == lesson.job.row.restarts + 1
            saved = (opened.progress or Progress()).words_learned
            assert saved >= lesson.saved
            # To bring a tutor back takes longer than a call may.
            for call in lesson.job.host.calls.waiting if lesson.job.host is not host else ():
                self.api.answer(call, "lost on its way")
            self.turn(SETTLED)
            self.zombies.append(lesson.job)
            lesson.job = RecordsJob(opened, host, saved)

    @precondition(lambda self: self.lessons)
    @rule(which=st.integers(0, 9), words=st.integers(0, 3), after=turns)
    def tick(self, which: int, words: int, after: int) -> None:
        """A job reports progress, also one whose lesson is over."""
        lesson = self._pick(which)
        job = lesson.job
        if job.host not in self.hosts:
            return
        if job.end is None:
            job.words += words
        progress = Progress(words_learned=job.words)
        self.run(job.host.ledger.save_progress(job.row, 1.0, progress, {}))
        lesson.saved = job.words
        job.host.delivery.wake()
        self.turn(after)

    @precondition(lambda self: self.zombies)
    @rule(which=st.integers(0, 9), ends=st.booleans())
    def write_as_stale_job(self, which: int, ends: bool) -> None:
        """A job goes on whose lesson another one teaches by now; nobody hears it."""
        job = self.zombies[which % len(self.zombies)]
        if job.host in self.hosts:
            text = "SELECT progress, closed_at FROM lesson WHERE id = ?"
            saved = job.host.database.raw.execute(text, (job.row.id,)).fetchone()
            self.run(self._close(job, Kind.FAILED) if ends else self._go_wild(job))
            assert job.host.database.raw.execute(text, (job.row.id,)).fetchone() == saved

    @precondition(lambda self: self.lessons)
    @rule(which=st.integers(0, 9), at=hosts)
    def restart(self, which: int, at: int) -> None:
        """A job dies, its host sees it, and another job begins, at whatever host."""
        job = self._pick(which).job
        if job.host in self.hosts and job.end is None:
            self.run(job.host.ledger.interrupt(job.row))
            self._open(self._host(at), int(job.row.room.removeprefix("room")))

    @precondition(lambda self: any(one.job.end is None for one in self.lessons.values()))
    @rule(which=st.integers(0, 9), status=st.sampled_from([Kind.COMPLETED, Kind.FAILED]), at=turns)
    def end(self, which: int, status: Kind, at: int) -> None:
        """A lesson ends; the host may die before it hears that the record is kept."""
        job = self._pick(which, lambda one: one.job.end is None).job
        if job.host in self.hosts:
            job.end = self.runner.get_loop().create_task(self._close(job, status))
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

    @rule(
        seconds=st.sampled_from([1.0, 30.0, 60.0, 3600.0]),
        jump=st.sampled_from([0.0, 0.0, 0.0, -1e8, -3600.0, 3600.0, 1e6]),
        after=turns,
    )
    def wait(self, seconds: float, jump: float, after: int) -> None:
        """Time goes by, and somebody may set the wall clock."""
        self.clock.offset += jump
        self.clock.pass_time(seconds)
        self.turn(after)

    @rule(
        which=hosts,
        lapses=st.booleans(),
        ago=st.sampled_from([0.0, 0.0, 1e4]),
        runs=st.booleans(),
        after=turns,
    )
    def take_over(self, which: int, lapses: bool, ago: float, runs: bool, after: int) -> None:
        """A host looks what others left, who are dead, or cut off for long and do not know it.

        It leaves an open lesson of a tutor that it does not run to others, for a while.
        """
        host = self._host(which)
        for dead in self.dead:
            host.database.raw.execute(LAPSE, (ago, dead))
        for other in self.hosts:
            if lapses and other is not host:
                other.end_lease(ago)
        before, long_dead = self._owned(host), host.database.raw.execute(LONG_DEAD).fetchone()
        self.run(host.take_over(runs=runs))
        if not runs and long_dead is None:
            assert self._owned(host) == before, "its tutor may run elsewhere"
        self.turn(after)

    def _owned(self, host: RecordsHost) -> set[str]:
        text = "SELECT id FROM lesson WHERE closed_at IS NULL AND owner = ?"
        return {row["id"] for row in host.database.raw.execute(text, (host.ledger._host,))}

    @precondition(lambda self: len(self.hosts) > 1 and self._taught())
    @rule(
        which=st.integers(0, 9),
        words=st.integers(0, 3),
        soon=st.sampled_from([0, 0, 1, 2, 3, 5, 8, 13, SETTLED]),
        ends=st.booleans(),
        outage=st.booleans(),
    )
    def give_up(self, which: int, words: int, soon: int, ends: bool, outage: bool) -> None:
        """A host is cut off for so long that another closes its lessons; its jobs teach on."""
        self.api.out_of_reach = outage
        cut_off = self._taught()[which % len(self._taught())].job.host
        host = next(one for one in self.hosts if one is not cut_off)
        self.run(cut_off.without_ledger(self._close_all(host, words)))
        self.turn(soon)
        if ends and self._given_up():
            self.come_back(which, SETTLED)
        self.api.out_of_reach = False

    async def _close_all(self, host: RecordsHost, words: int) -> None:
        for row in await host.take_over():
            lesson = self.lessons[row.id]
            lesson.given_up = row.progress.words_learned if row.progress else -1
            job = RecordsJob(row, host, lesson.given_up)
            await self._close(job, Kind.FAILED, interrupted=True)
            lesson.job.words += words if lesson.job.end is None else 0

    @precondition(lambda self: self._given_up())
    @rule(which=st.integers(0, 9), at=turns)
    def come_back(self, which: int, at: int) -> None:
        """The job of a lesson that was given up ends it."""
        job = self._given_up()[which % len(self._given_up())].job
        job.end = self.runner.get_loop().create_task(self._close(job, Kind.COMPLETED))
        self.turn(at)

    def _given_up(self) -> list[Taught]:
        return [one for one in self._taught() if one.given_up is not None]

    def _taught(self) -> list[Taught]:
        """List the lessons whose job runs."""
        taught = self.lessons.values()
        return [one for one in taught if one.job.host in self.hosts and one.job.end is None]

    @rule(which=hosts, arrives=st.booleans())
    def crash(self, which: int, arrives: bool) -> None:
        """A process is gone, what it was sending arrives or not, and another one starts."""
        host = self._host(which)
        if arrives:
            for call in host.calls.waiting:
                call.take()
        self._stop(host)
        self.hosts.append(self._start())

    @invariant()
    def arrives_in_order_and_once(self) -> None:
        """Progress never falls, nothing follows a final one but the record, nothing that."""
        for session_id, arrived in self.api.arrived.items() if self.hosts else ():
            stages = [
                0 if what == "in_progress" else 1 if what in FINAL else 2 for what, _ in arrived
            ]
            assert stages == sorted(stages), (session_id, arrived)
            words = [count for what, count in arrived if what != "record"]
            assert words == sorted(words), (session_id, arrived)
            assert stages.count(2) <= 1, (session_id, arrived)

    @invariant()
    def owes_one_progress_and_loses_no_record(self) -> None:
        """Committed entries remain until the API has them."""
        if not self.hosts:
            return
        self._note_ends()
        found = self._rows()
        unsent = Counter(lesson for lesson, kind, dead in found if kind != "record" and not dead)
        assert all(number == 1 for number in unsent.values()), found
        held = {lesson for lesson, kind, _ in found if kind == "record"}
        for lesson in self.lessons.values():
            row = lesson.job.row
            if lesson.recorded:
                assert row.id in held or self.api.records(row.session_id), lesson

    @invariant()
    def a_room_has_one_open_lesson(self) -> None:
        """Each that is interrupted is gone on with before there is another."""
        if self.hosts:
            text = "SELECT room FROM lesson WHERE closed_at IS NULL"
            rooms = [row["room"] for row in self.hosts[0].database.raw.execute(text)]
            assert len(rooms) == len(set(rooms)), rooms

    def teardown(self) -> None:
        """Check that after a last crash of all, a healthy API gets everything once."""
        try:
            if self.hosts:
                for host in list(self.hosts):
                    self._stop(host)
                self.hosts = [self._start()]
                self.take_over(0, lapses=False, ago=1e4, runs=False, after=0)
                self._deliver_all()
                self._compare()
        finally:
            for host in list(self.hosts):
                self._stop(host)
            self.quiet.__exit__(None, None, None)
            self.runner.close()
            shutil.rmtree(self.directory)

    def _deliver_all(self) -> None:
        for _ in range(500):
            self.turn(30)
            if not self.run(self.hosts[0].ledger.pending_lessons()):
                return
            for call in list(self.api.waiting):
                self.api.answer(call, "taken")
            if not self.api.waiting:
                self.clock.pass_time(60.0)
        raise AssertionError("an entry is never delivered")

    def _compare(self) -> None:
        dead = {(lesson, kind): why for lesson, kind, why in self._rows()}
        assert all(dead.values())
        for lesson in self.lessons.values():
            row = lesson.job.row
            arrived = self.api.arrived.get(row.session_id, [])
            finals = [words for what, words in arrived if what in FINAL]
            if lesson.recorded and (row.id, "record") not in dead:
                assert self.api.records(row.session_id) == 1, lesson
            if lesson.recorded and not {(row.id, status) for status in FINAL} & dead.keys():
                assert (finals or [-1])[-1] in self._ends(lesson), lesson

    def _ends(self, lesson: Taught) -> set[int]:
        """Return the words that it may have ended with: its job's, or those it was closed with."""
        ended = set() if lesson.given_up is None else {lesson.given_up}
        return ended if lesson.job.end is None else {*ended, lesson.job.words}

    def _rows(self) -> list[tuple[str, str, str | None]]:
        text = "SELECT lesson_id, kind, dead_reason FROM outbox"
        rows = self.hosts[0].database.raw.execute(text).fetchall()
        return [(row["lesson_id"], row["kind"], row["dead_reason"]) for row in rows]

    def _host(self, which: int) -> RecordsHost:
        return self.hosts[which % len(self.hosts)]

    def _pick(self, which: int, fits: Callable[[Taught], bool] = lambda _: True) -> Taught:
        fitting = [one for one in self.lessons.values() if fits(one)]
        return fitting[which % len(fitting)]

    def _open_in(self, room: str) -> list[Taught]:
        text = "SELECT id FROM lesson WHERE closed_at IS NULL AND room = ?"
        rows = self.hosts[0].database.raw.execute(text, (room,)).fetchall()
        return [self.lessons[row["id"]] for row in rows]

    async def _close(self, job: RecordsJob, status: Kind, *, interrupted: bool = False) -> None:
        record = SessionRecord(
            session_id=job.row.session_id,
            duration_minutes=1,
            overall_performance=Performance.GOOD,
        )
        final = None if job.words < 0 else Progress(words_learned=job.words)
        await job.host.ledger.close_lesson(
            job.row, self.clock.now(), status, final, record, interrupted=interrupted
        )
        job.host.delivery.wake()

    async def _go_wild(self, job: RecordsJob) -> None:
        await job.host.ledger.save_progress(job.row, 1.0, Progress(words_learned=10_000), {})

    def _note_ends(self) -> None:
        """Record what a host knows to be saved; a dead host's writes count if committed."""
        text = "SELECT id FROM lesson WHERE closed_at IS NOT NULL"
        closed = {row["id"] for row in self.hosts[0].database.raw.execute(text)}
        for lesson in self.lessons.values():
            end = lesson.job.end
            if end is not None and end.done() and not end.cancelled():
                end.result()
                assert lesson.job.row.id in closed
            lesson.recorded = lesson.job.row.id in closed

    def _start(self) -> RecordsHost:
        host = RecordsHost()
        self.run(host.start(self.path, self.api, self.clock))
        return host

    def _stop(self, host: RecordsHost) -> None:
        self.dead.append(host.ledger._host)
        for lesson in self.lessons.values():
            if lesson.job.host is host and lesson.job.end is not None:
                lesson.job.end.cancel()
        self.run(host.die())
        self.hosts.remove(host)

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
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)
TestRecords = RecordsMachine.TestCase
