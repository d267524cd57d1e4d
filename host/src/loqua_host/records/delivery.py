"""Delivery of the outbox to the API, in order per lesson, with retries."""

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
from loqua_host.system.tasks import supervised

from .ledger import Kind, Ledger, LessonRow, OutboxRow
from .metrics import DeliveryMetrics
from .traces import in_trace

__all__ = ["Delivery", "caller_of"]

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")

MAX_SENDS = 16
"""Maximum of concurrent sends, so that a long backlog does not slow running lessons down."""

MAX_LESSONS = 1000
"""Maximum of lessons delivered concurrently; others wait in the ledger."""

POLL_INTERVAL = 10.0
"""Seconds between polls of the ledger, however much is delivered meanwhile: operators and other
hosts add entries that nobody here is woken for."""

MAX_PAUSE = 60.0
"""Maximum seconds between two attempts for an entry, unless the API asks for more."""

MAX_RETRY_AFTER = 3600.0
"""Maximum seconds that the API may ask to wait."""

RETRY_WINDOW = 7 * 86400.0
"""Seconds after the start of a lesson before a refusal that an operator could fix is final."""

REMEDIABLE = frozenset({401, 403})
"""Statuses caused by the agent's JWT or permissions, not by the entry."""

NOT_FOUND = 404

STATUS: dict[Kind, Literal["in_progress", "completed", "failed"]] = {
    Kind.IN_PROGRESS: "in_progress",
    Kind.COMPLETED: "completed",
    Kind.FAILED: "failed",
}


def caller_of(lesson: LessonRow) -> Caller:
    """Return the caller of a lesson's API calls."""
    return Caller(user_id=lesson.user_id, room=lesson.room, agent_id=lesson.agent_id)


@contextmanager
def _of_lesson(row: OutboxRow) -> Iterator[None]:
    """Bind log lines and spans of a block to the entry's lesson."""
    lesson = row.lesson
    with (
        structlog.contextvars.bound_contextvars(**lesson.bound),
        tracer.start_as_current_span(
            f"delivery {row.kind}", in_trace(lesson.state), record_exception=False
        ),
    ):
        yield


class Delivery:
    """Send the outbox: lessons concurrently, the entries of one lesson in order.

    Two hosts never send the same entry: `Outbox.mark_sending` commits the owner before each
    attempt. Within a host, a lesson has at most one task (`_under_way`).
    """

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
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._unread = True  # Whether the ledger may have pending lessons that nobody has named.
        self._poll_at = 0.0
        self._lesson_slots = asyncio.Semaphore(MAX_LESSONS)
        self._send_slots = asyncio.Semaphore(MAX_SENDS)
        self._urgent: set[str] = set()
        self._under_way: set[str] = set()
        self._awaited: dict[str, asyncio.Event] = {}
        self._due: dict[str, tuple[float, float]] = {}

    def wake(self, lesson: str | None = None) -> None:
        """Wake the delivery, as the outbox has changed. A named lesson precedes the backlog.

        If none is named, all pending ones are read from the ledger.
        """
        if lesson is None:
            self._unread = True
        else:
            self._urgent.add(lesson)
        self._idle.clear()
        self._changed.set()

    async def wait_idle(self) -> None:
        """Wait until nothing is pending."""
        self.wake()
        await self._idle.wait()

    async def wait_delivered(self, lesson: str) -> None:
        """Wait until nothing of a lesson is pending."""
        delivered = self._awaited.setdefault(lesson, asyncio.Event())
        self._urgent.add(lesson)
        self._changed.set()
        await delivered.wait()

    async def run(self) -> None:
        """Deliver until cancelled. Undelivered entries stay in the outbox."""
        # Also after a restart because of an unexpected error, no delivery is running.
        self._under_way, self._lesson_slots = set(), asyncio.Semaphore(MAX_LESSONS)
        self._unread = True
        async with supervised() as sending:
            while True:
                self._changed.clear()
                await self._begin_urgent(sending)
                pending = self._unread and await self._begin_all(sending)
                # If the outbox has changed since it was read, there may be more.
                if not (pending or self._under_way or self._changed.is_set()):
                    self._idle.set()
                await self._wait_for_change()

    async def _begin_all(self, sending: asyncio.TaskGroup) -> bool:
        """Start to deliver pending entries, page by page; return whether there were any."""
        self._unread, last = False, ""
        self._poll_at = self._clock.monotonic() + POLL_INTERVAL
        while page := await self._ledger.pending_lessons(last):
            for last, due in page.items():
                await self._begin_urgent(sending)
                if self._pause(self._due_at(last, due)) == 0 or not self._lesson_slots.locked():
                    await self._begin(last, sending)
                else:
                    self._unread = True
        return bool(last)

    async def _begin_urgent(self, sending: asyncio.TaskGroup) -> None:
        for lesson in self._urgent - self._under_way:
            self._urgent.discard(lesson)
            await self._begin(lesson, sending)

    async def _begin(self, lesson: str, sending: asyncio.TaskGroup) -> None:
        if lesson not in self._under_way:
            await self._lesson_slots.acquire()
            self._under_way.add(lesson)
            sending.create_task(self._deliver(lesson))

    async def _wait_for_change(self) -> None:
        """Wait for a change, or until the next poll."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_at - self._clock.monotonic()):
                await self._changed.wait()
        if self._clock.monotonic() >= self._poll_at:
            self._unread = True

    async def _deliver(self, lesson: str) -> None:
        """Send a lesson's entries, until all are sent, or it must pause while others wait."""
        while (pause := await self._step(lesson)) is not None:
            if pause and self._lesson_slots.locked():
                self._unread = True
                break
            if pause:
                await self._clock.sleep(pause)
        self._under_way.remove(lesson)
        self._lesson_slots.release()
        if pause is None:
            self._due.pop(lesson, None)
            self._changed.set()

    async def _step(self, lesson: str) -> float | None:
        """Advance a lesson. An unexpected error delays this lesson only."""
        awaited = self._awaited.get(lesson)
        try:
            pause = await self._advance(lesson)
        except Exception as error:  # noqa: BLE001  # one row's fault must not end everyone's lessons
            # Its message is not logged, because it may quote the payload.
            at = [f"{one.filename}:{one.lineno}" for one in extract_tb(error.__traceback__)]
            self._metrics.faults.inc()
            log.error("delivery.failed", lesson=lesson, why=type(error).__name__, at=at)
            return MAX_PAUSE
        if pause is None and awaited is not None:
            self._awaited.pop(lesson).set()
        return pause

    async def _advance(self, lesson: str) -> float | None:
        """Attempt the next entry if it is due; return the seconds to wait, None if all is done."""
        async with self._send_slots:
            row = await self._ledger.next_entry(lesson)
            if row is None:
                return None
            due = self._due_at(lesson, row.not_before)
            if pause := self._pause(due):
                self._due[lesson] = row.not_before, due
                return pause
            with _of_lesson(row):
                is_last = await self._attempt(row)
            return None if is_last else 0.0

    def _due_at(self, lesson: str, not_before: float) -> float:
        """Return when a lesson's next entry is due, by the monotonic clock.

        An entry that another process has postponed, by a wall clock that may be wrong, is due
        within `MAX_PAUSE`; the API may then ask for more again.
        """
        known, due = self._due.get(lesson, (None, 0.0))
        if known == not_before:
            return due
        left = min(max(not_before - self._clock.now(), 0.0), MAX_PAUSE)
        return self._clock.monotonic() + left

    def _pause(self, due: float) -> float:
        """Return the seconds to wait until then, at most `MAX_PAUSE`."""
        return min(max(due - self._clock.monotonic(), 0.0), MAX_PAUSE)

    async def _attempt(self, row: OutboxRow) -> bool:
        """Attempt an entry; return whether it was delivered and is known to be the last one."""
        row_log = log.bind(row=row.kind)
        what = "record" if row.kind is Kind.RECORD else "progress"
        try:
            if not await self._sent(row):
                return False
        except ValidationError as error:
            why = f"not in the format of this version: {[wrong['loc'] for wrong in error.errors()]}"
            await self._dead_letter(row, why)
            self._metrics.attempts.labels(what, "dead").inc()
            row_log.error(f"{what}.dead", why=why)
        except UnreachableError as error:
            pause = max(self._backoff(row), error.retry_after or 0.0)
            await self._postpone(row, pause, maybe_delivered=row.maybe_delivered or error.sent)
            self._metrics.attempts.labels(what, "postponed").inc()
            row_log.warning(f"{what}.postponed", why=str(error), seconds=round(pause, 1))
        except RefusedError as error:
            final = self._is_final(row, error)
            if final:
                await self._dead_letter(row, str(error), unknown_learner=_is_unknown_learner(error))
            else:
                await self._postpone(row, MAX_PAUSE, maybe_delivered=row.maybe_delivered)
            outcome = "dead" if final else "refused"
            self._metrics.attempts.labels(what, outcome).inc()
            row_log.error(f"{what}.{outcome}", why=str(error), status=error.status)
        else:
            others = await self._ledger.mark_delivered(row)
            self._metrics.attempts.labels(what, "delivered").inc()
            # Ticks are already logged as `progress.made` and `api.called`.
            log_delivered = row_log.debug if row.kind is Kind.IN_PROGRESS else row_log.info
            log_delivered(f"{what}.delivered")
            return not others
        return False

    async def _sent(self, row: OutboxRow) -> bool:
        """Send an entry, unless the API already has it (v1 may ignore idempotency keys).

        Returns:
            False if it must not be sent, because newer progress replaced it or another host owns
            it.
        """
        caller = caller_of(row.lesson)
        maybe_delivered = row.kind is Kind.RECORD and row.maybe_delivered
        if maybe_delivered and await self._api.session_known(caller, row.lesson.session_id):
            return True
        if not await self._ledger.mark_sending(row):
            return False
        await self._send(row, caller)
        return True

    def _send(self, row: OutboxRow, caller: Caller) -> Awaitable[None]:
        if row.kind is Kind.RECORD:
            record = SessionRecord.model_validate_json(row.payload)
            return self._api.create_session(
                caller, record, key=row.idempotency_key, started_at=row.lesson.opened_at
            )
        return self._api.send_progress(
            caller,
            session_id=row.lesson.session_id,
            status=STATUS[row.kind],
            progress=Progress.model_validate_json(row.payload),
            key=row.idempotency_key,
        )

    def _is_final(self, row: OutboxRow, refusal: RefusedError) -> bool:
        """Return whether a refusal is final. A record waits long for what can be fixed."""
        remediable = isinstance(refusal, TokenError) or refusal.status in REMEDIABLE
        given_up = self._clock.now() - row.lesson.opened_at > RETRY_WINDOW
        return row.kind is not Kind.RECORD or not remediable or given_up

    async def _dead_letter(
        self, row: OutboxRow, reason: str, *, unknown_learner: bool = False
    ) -> None:
        now = self._clock.now()
        await self._ledger.dead_letter(row, reason, now, unknown_learner=unknown_learner)

    async def _postpone(self, row: OutboxRow, pause: float, *, maybe_delivered: bool) -> None:
        pause = min(pause, MAX_RETRY_AFTER)
        until = self._clock.now() + pause
        self._due[row.lesson.id] = until, self._clock.monotonic() + pause
        await self._ledger.postpone(row, until, maybe_delivered=maybe_delivered)

    def _backoff(self, row: OutboxRow) -> float:
        longest = min(MAX_PAUSE, 2.0 ** min(row.attempts, 10))
        return longest * (0.5 + self._jitter() / 2)


def _is_unknown_learner(refusal: RefusedError) -> bool:
    """Return whether the API refused because it does not know the learner."""
    about_learner = refusal.endpoint == "user-token" or "USER" in refusal.code.upper()
    return refusal.status == NOT_FOUND and about_learner
