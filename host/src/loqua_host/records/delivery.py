"""Delivery: sends what is owed, in order per lesson, until the API has taken it."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from traceback import extract_tb
from typing import Literal

import structlog
from opentelemetry import trace
from pydantic import ValidationError

from loqua_host.contract.records import Progress, SessionRecord
from loqua_host.core import Caller, LoquaApi
from loqua_host.core.clock import Clock
from loqua_host.errors import RefusedError, TokenError, UnreachableError
from loqua_host.tasks import supervised

from .ledger import Kind, Ledger, LessonRow, OwedRow
from .metrics import DeliveryMetrics
from .traces import in_trace

__all__ = ["Delivery", "caller_of"]

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")

AT_ONCE = 16
"""Rows sent at the same time, so that a long backlog leaves the API to those who learn."""

MOST = 1000
"""Lessons that are followed at the same time; more of them wait in the ledger."""

LOOK_EVERY = 30.0
"""Seconds after which the ledger is read without being told to."""

LONGEST_PAUSE = 60.0
"""Seconds between two attempts at a row, unless the API asks for more."""

LONGEST_WAIT = 3600.0
"""Seconds that the API may ask to wait."""

PATIENCE = 7 * 86400.0
"""Seconds after a lesson's beginning until a refusal that somebody could mend is final."""

MENDABLE = frozenset({401, 403})
"""Statuses that the agent's JWT or its permissions cause, not the row."""

NOT_FOUND = 404

STATUS: dict[Kind, Literal["in_progress", "completed", "failed"]] = {
    Kind.IN_PROGRESS: "in_progress",
    Kind.COMPLETED: "completed",
    Kind.FAILED: "failed",
}


def caller_of(lesson: LessonRow) -> Caller:
    """Say on whose behalf the calls of a lesson are made."""
    return Caller(user_id=lesson.user_id, room=lesson.room, agent_id=lesson.agent_id)


@contextmanager
def _of_lesson(row: OwedRow) -> Iterator[None]:
    """Have what is logged and traced in a block be its lesson's."""
    lesson = row.lesson
    with (
        structlog.contextvars.bound_contextvars(**lesson.bound),
        tracer.start_as_current_span(
            f"delivery {row.kind}", in_trace(lesson.state), record_exception=False
        ),
    ):
        yield


class Delivery:
    """Sends rows of the ledger; lessons go on side by side, the rows of one in order."""

    def __init__(
        self,
        ledger: Ledger,
        api: LoquaApi,
        *,
        clock: Clock,
        metrics: DeliveryMetrics,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._ledger = ledger
        self._api = api
        self._clock = clock
        self._metrics = metrics
        self._jitter = jitter
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._places = asyncio.Semaphore(MOST)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._fresh: set[str] = set()
        self._under_way: set[str] = set()
        self._awaited: dict[str, asyncio.Event] = {}
        self._due: dict[str, tuple[float, float]] = {}

    def wake(self, lesson: str | None = None) -> None:
        """Say that the ledger has something new; what a lesson has goes before any backlog."""
        if lesson is not None:
            self._fresh.add(lesson)
        self._idle.clear()
        self._news.set()

    async def idle(self) -> None:
        """Wait until nothing at all is owed."""
        await self._idle.wait()

    async def settled(self, lesson: str) -> None:
        """Wait until nothing of a lesson is owed any more."""
        settled = self._awaited.setdefault(lesson, asyncio.Event())
        self._fresh.add(lesson)
        self._news.set()
        await settled.wait()

    async def run(self) -> None:
        """Deliver until cancelled; what is unsent then stays in the ledger."""
        # Nothing is under way, also where this begins anew after a fault.
        self._under_way, self._places = set(), asyncio.Semaphore(MOST)
        async with supervised() as sending:
            while True:
                self._news.clear()
                owed = await self._begin_all(sending)
                # With news since it was looked for, that may not be all.
                if not (owed or self._under_way or self._news.is_set()):
                    self._idle.set()
                await self._hear_news()

    async def _begin_all(self, sending: asyncio.TaskGroup) -> bool:
        """Begin to deliver what is owed, page by page; False if nothing is."""
        await self._begin_fresh(sending)
        last = ""
        while page := await self._ledger.owing(last):
            for last, due in page.items():
                await self._begin_fresh(sending)
                if self._pause(self._due_at(last, due)) == 0 or not self._places.locked():
                    await self._begin(last, sending)
        return bool(last)

    async def _begin_fresh(self, sending: asyncio.TaskGroup) -> None:
        for lesson in self._fresh - self._under_way:
            self._fresh.discard(lesson)
            await self._begin(lesson, sending)

    async def _begin(self, lesson: str, sending: asyncio.TaskGroup) -> None:
        if lesson not in self._under_way:
            await self._places.acquire()
            self._under_way.add(lesson)
            sending.create_task(self._deliver(lesson))

    async def _hear_news(self) -> None:
        """Wait for news, but look by itself now and then: operators change the ledger, too."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await self._news.wait()

    async def _deliver(self, lesson: str) -> None:
        """Send what a lesson owes, until that is all, or it has to wait while others want to go."""
        while (pause := await self._step(lesson)) is not None:
            if pause and self._places.locked():
                break
            if pause:
                await self._clock.sleep(pause)
        self._under_way.remove(lesson)
        self._places.release()
        if pause is None:
            self._due.pop(lesson, None)
            self._news.set()

    async def _step(self, lesson: str) -> float | None:
        """Do as `_advance` does; what goes wrong unforeseen is that lesson's alone."""
        awaited = self._awaited.get(lesson)
        try:
            pause = await self._advance(lesson)
        except Exception as error:  # noqa: BLE001  # one row's fault must not end everyone's lessons
            # No message: it may quote what was sent.
            at = [f"{one.filename}:{one.lineno}" for one in extract_tb(error.__traceback__)]
            self._metrics.faults.inc()
            log.error("delivery.failed", lesson=lesson, why=type(error).__name__, at=at)
            return LONGEST_PAUSE
        if pause is None and awaited is not None:
            self._awaited.pop(lesson).set()
        return pause

    async def _advance(self, lesson: str) -> float | None:
        """Attempt the next row if it is due; gives the seconds to wait, None if all is done."""
        async with self._slots:
            row = await self._ledger.next_owed(lesson)
            if row is None:
                return None
            due = self._due_at(lesson, row.not_before)
            if pause := self._pause(due):
                self._due[lesson] = row.not_before, due
                return pause
            with _of_lesson(row):
                await self._attempt(row)
            return 0.0

    def _due_at(self, lesson: str, not_before: float) -> float:
        """Say when a lesson's next row is due, by the clock that never steps.

        What another process has postponed, by a clock that may have been wrong, is due within one
        pause: the API may ask for more again.
        """
        known, due = self._due.get(lesson, (None, 0.0))
        if known == not_before:
            return due
        left = min(max(not_before - self._clock.now(), 0.0), LONGEST_PAUSE)
        return self._clock.monotonic() + left

    def _pause(self, due: float) -> float:
        """Give the seconds to wait until then, in short pieces."""
        return min(max(due - self._clock.monotonic(), 0.0), LONGEST_PAUSE)

    async def _attempt(self, row: OwedRow) -> None:
        told = log.bind(row=row.kind)
        what = "record" if row.kind is Kind.RECORD else "progress"
        try:
            if not await self._sent(row):
                return
        except ValidationError as error:
            why = (
                f"not of the form this version sends: {[wrong['loc'] for wrong in error.errors()]}"
            )
            await self._bury(row, why)
            self._metrics.attempts.labels(what, "dead").inc()
            told.error(f"{what}.dead", why=why)
        except UnreachableError as error:
            pause = max(self._backoff(row), error.retry_after or 0.0)
            await self._postpone(row, pause, unsure=row.unsure or error.sent)
            self._metrics.attempts.labels(what, "postponed").inc()
            told.warning(f"{what}.postponed", why=str(error), seconds=round(pause, 1))
        except RefusedError as error:
            final = self._is_final(row, error)
            if final:
                await self._bury(row, str(error), unknown=_is_unknown_learner(error))
            else:
                await self._postpone(row, LONGEST_PAUSE, unsure=row.unsure)
            outcome = "dead" if final else "refused"
            self._metrics.attempts.labels(what, outcome).inc()
            told.error(f"{what}.{outcome}", why=str(error), status=error.status)
        else:
            await self._ledger.mark_delivered(row)
            self._metrics.attempts.labels(what, "delivered").inc()
            # A tick's is in `progress.made` and `api.called` already.
            tell = told.debug if row.kind is Kind.IN_PROGRESS else told.info
            tell(f"{what}.delivered")

    async def _sent(self, row: OwedRow) -> bool:
        """Send a row, unless the API turns out to have it; it may ignore keys (guide, v1).

        False if the row is no longer to be sent: newer progress or another host took its place.
        """
        caller = caller_of(row.lesson)
        unsure = row.kind is Kind.RECORD and row.unsure
        if unsure and await self._api.session_known(caller, row.lesson.session_id):
            return True
        if not await self._ledger.mark_sending(row):
            return False
        await self._send(row, caller)
        return True

    def _send(self, row: OwedRow, caller: Caller) -> Awaitable[None]:
        if row.kind is Kind.RECORD:
            record = SessionRecord.model_validate_json(row.payload)
            return self._api.create_session(caller, record, key=row.key)
        return self._api.send_progress(
            caller,
            session_id=row.lesson.session_id,
            status=STATUS[row.kind],
            progress=Progress.model_validate_json(row.payload),
            key=row.key,
        )

    def _is_final(self, row: OwedRow, refusal: RefusedError) -> bool:
        """Say whether a refusal ends a row; a record outlives for long what can be mended."""
        mendable = isinstance(refusal, TokenError) or refusal.status in MENDABLE
        given_up = self._clock.now() - row.lesson.opened_at > PATIENCE
        return row.kind is not Kind.RECORD or not mendable or given_up

    async def _bury(self, row: OwedRow, why: str, *, unknown: bool = False) -> None:
        await self._ledger.mark_dead(row, why, self._clock.now(), unknown=unknown)

    async def _postpone(self, row: OwedRow, pause: float, *, unsure: bool) -> None:
        pause = min(pause, LONGEST_WAIT)
        until = self._clock.now() + pause
        self._due[row.lesson.id] = until, self._clock.monotonic() + pause
        await self._ledger.postpone(row, until, unsure=unsure)

    def _backoff(self, row: OwedRow) -> float:
        longest = min(LONGEST_PAUSE, 2.0 ** min(row.attempts, 10))
        return longest * (0.5 + self._jitter() / 2)


def _is_unknown_learner(refusal: RefusedError) -> bool:
    """Return whether the API said that it has no such learner, not that it lacks something else."""
    about_learner = refusal.endpoint == "user-token" or "USER" in refusal.code.upper()
    return refusal.status == NOT_FOUND and about_learner
