"""Delivery: sends what is owed, in order per lesson, until the API has taken it."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog

from loqua_host.contract.records import Progress, SessionRecord
from loqua_host.core import Caller, LoquaApi
from loqua_host.errors import RefusedError, UnreachableError

from .ledger import Kind, Ledger, LessonRow, OwedRow

__all__ = ["Delivery", "caller_of"]

log = structlog.get_logger()

MAX_PAUSE = 300.0
"""Seconds between two attempts at a row, at most."""


STATUS: dict[Kind, Literal["in_progress", "completed", "failed"]] = {
    Kind.IN_PROGRESS: "in_progress",
    Kind.COMPLETED: "completed",
    Kind.FAILED: "failed",
}


def caller_of(lesson: LessonRow) -> Caller:
    """Say on whose behalf the calls of a lesson are made."""
    return Caller(user_id=lesson.user_id, room=lesson.room, agent_id=lesson.agent_id)


class Delivery:
    """Sends rows of the ledger; lessons go on side by side, the rows of one in order."""

    def __init__(
        self,
        ledger: Ledger,
        api: LoquaApi,
        *,
        clock: Callable[[], float],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._ledger = ledger
        self._api = api
        self._clock = clock
        self._jitter = jitter
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._settled: dict[str, list[asyncio.Future[None]]] = {}

    def wake(self) -> None:
        """Say that the ledger has something new."""
        self._idle.clear()
        self._news.set()

    async def idle(self) -> None:
        """Wait until nothing at all is owed."""
        await self._idle.wait()

    async def settled(self, lesson: str) -> None:
        """Wait until nothing of a lesson is owed any more."""
        while await self._ledger.owed_of(lesson):
            future = asyncio.get_running_loop().create_future()
            self._settled.setdefault(lesson, []).append(future)
            await future

    async def run(self) -> None:
        """Deliver until cancelled; what is unsent then stays in the ledger."""
        while True:
            self._news.clear()
            due = await self._ledger.due(self._clock())
            if due:
                async with asyncio.TaskGroup() as sending:
                    for row in due:
                        sending.create_task(self._deliver(row))
            else:
                await self._wait()

    async def _wait(self) -> None:
        when = await self._ledger.next_due()
        if when is None and not self._news.is_set():
            self._idle.set()
        pause = None if when is None else max(0.0, when - self._clock())
        try:
            await asyncio.wait_for(self._news.wait(), pause)
        except TimeoutError:
            return

    async def _deliver(self, row: OwedRow) -> None:
        told = log.bind(session_id=row.lesson.session_id, user_id=row.lesson.user_id, row=row.kind)
        try:
            if await self._already_there(row):
                told.info("record.found_delivered")
            else:
                await self._ledger.mark_sending(row)
                await self._send(row)
                told.info("record.delivered" if row.kind is Kind.RECORD else "progress.delivered")
            await self._ledger.mark_delivered(row)
        except RefusedError as error:
            await self._ledger.mark_dead(row, str(error))
            told.error("record.refused", why=str(error), status=error.status)
        except UnreachableError as error:
            pause = self._pause(row, error.retry_after)
            await self._ledger.postpone(row, self._clock() + pause)
            told.warning("record.postponed", why=str(error), seconds=round(pause, 1))
        self._settle(row.lesson.id)

    async def _already_there(self, row: OwedRow) -> bool:
        """Ask the API after an attempt whose end is unknown; it may ignore keys (guide, v1)."""
        return (
            row.kind is Kind.RECORD
            and row.attempts > 0
            and await self._api.session_known(caller_of(row.lesson), row.lesson.session_id)
        )

    def _send(self, row: OwedRow) -> Awaitable[None]:
        caller = caller_of(row.lesson)
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

    def _pause(self, row: OwedRow, retry_after: float | None) -> float:
        backoff = min(MAX_PAUSE, 2.0 ** min(row.attempts, 10)) * (0.5 + self._jitter() / 2)
        return max(backoff, retry_after or 0.0)

    def _settle(self, lesson: str) -> None:
        for future in self._settled.pop(lesson, ()):
            if not future.done():
                future.set_result(None)
