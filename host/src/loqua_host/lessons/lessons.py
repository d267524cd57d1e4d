"""The lifecycle of lessons in the host: one coroutine per link and lesson."""

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import structlog
from opentelemetry import trace

from loqua_host.contract.handoff import Handback
from loqua_host.contract.records import Mode
from loqua_host.core import Caller
from loqua_host.errors import (
    LearnerError,
    LedgerError,
    RefusedError,
    RoomsError,
)
from loqua_host.link.messages import EngineKind, Join, ModeChanged, WrapUp
from loqua_host.link.server import JobLink, JobRef
from loqua_host.records.captures import Captures
from loqua_host.records.delivery import caller_of
from loqua_host.records.ledger import CRASH_LOOP, MAX_CRASHES, LessonRow
from loqua_host.records.session_record import Composed, compose_record
from loqua_host.records.traces import join_trace
from loqua_host.rooms.learners import Participant, pick_open
from loqua_host.system.tasks import forever, supervised

from .api_watch import acquire_token_when_reachable, check_health
from .capture import captured
from .causes import ALREADY_TAUGHT
from .decisions import Interrupted
from .dispatch_state import JOIN_SECONDS
from .engines import first_engines
from .handoffs import Handoffs
from .live_lesson import LiveLesson, log_recorded
from .prefetcher import Prefetcher
from .prepared_lesson import PreparedLesson, new_lesson, prepare
from .refusals import Refusals
from .services import Services
from .stored_state import engines_used, saved_ending
from .welcome import language_of, welcome

__all__ = ["Lessons"]

log = structlog.get_logger()

T = TypeVar("T")

PATIENCE_SECONDS = 0.5
"""Seconds between two checks of the ledger's response."""


class Lessons:
    """All lessons of this host, from the accepted job to the record in the ledger.

    Args:
        services: Its collaborators.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rooms = services.rooms
        self._api = services.api
        self._ledger = services.ledger
        self._delivery = services.delivery
        self._tutors = services.tutors
        self._settings = services.settings
        self._dispatch_state = services.dispatch_state
        self._tasks = services.tasks
        self._clock = services.clock
        self._metrics = services.metrics
        self._accepted: dict[str, float] = {}
        self._traces: dict[str, trace.Span] = {}
        self._handoffs = Handoffs(services)
        # By room: rooms are looked up one by one, however many there are.
        self._live: dict[str, set[LiveLesson]] = {}
        self._waiting: set[JobLink] = set()
        self._prefetcher = Prefetcher(self._prepare, self._api, self._tasks)
        self._refusals = Refusals(services)
        self._api.subscribe(self._on_mode)

    def prefetch(self, room: str, tutor: str, identity: str) -> None:
        """Prefetch a lesson whose job is expected soon."""
        self._prefetcher.prefetch(room, tutor, identity)

    def begin(self, job: JobRef) -> None:
        """Handle an accepted job: prefetch its lesson while the job connects."""
        self._accepted[job.job_id] = self._clock.monotonic()
        self._dispatch_state.on_accepted(job)
        self._traces[job.job_id] = span = self._prefetcher.begin(job)
        with trace.use_span(span):
            self._tasks.create_task(self._claim(job))

    def end(self, job: JobRef) -> None:
        """Handle the end of an accepted job, which may free capacity.

        If it never joined, its learner needs another job.
        """
        self._accepted.pop(job.job_id, None)
        self._traces.pop(job.job_id, trace.INVALID_SPAN).end()
        self._dispatch_state.changed.set()
        if self._dispatch_state.on_ended(job):
            self._prefetcher.drop(job.job_id)
            log.warning("job.lost", tutor=job.tutor, room=job.room, job_id=job.job_id)

    async def serve(self, link: JobLink) -> None:
        """Serve one link: welcome or refuse the job, follow its lesson, close it."""
        span = self._traces.pop(link.job.job_id, trace.INVALID_SPAN)
        with trace.use_span(span, end_on_exit=True, record_exception=False):
            await self._serve_link(link)

    async def _serve_link(self, link: JobLink) -> None:
        self._bind(link.job)
        join = await self._await_join(link)
        if departure := self._dispatch_state.departure_of(link.job.job_id):
            await self._dismiss(link, departure.reason)
            return
        if not isinstance(join, Join):
            if join is not None:
                log.warning("link.refused", why="the job did not join")
            self._prefetcher.drop(link.job.job_id)
            return
        await self._serve(link, join.identity)

    async def _serve(self, link: JobLink, identity: str) -> None:
        """Open the lesson of a job that has joined, and follow it; or refuse it.

        Args:
            link: The job's link.
            identity: The learner that the job sees, who may not be the one it was dispatched for.
        """
        language = own = self._tutors[link.job.tutor].language
        try:
            identity = await self._learner_of(link.job, identity)
            prepared = await self._prefetcher.claim(link.job, identity)
            structlog.contextvars.bind_contextvars(**prepared.ids)
            language = language_of(prepared, own)
            lesson = await self._open(link, prepared)
        except (LearnerError, RefusedError, RoomsError, LedgerError) as refusal:
            await self._refusals.refuse(link, identity, refusal, language)
            return
        await self._teach(lesson, prepared)

    async def _learner_of(self, job: JobRef, reported: str) -> str:
        """Return the learner that a job was dispatched for, unless they have left meanwhile.

        Raises:
            LedgerError: If the ledger is unreachable.
            RoomsError: If LiveKit does not list the participants.
        """
        target = self._dispatch_state.target_of(job)
        if target is not None and target != reported:
            inside = {one.identity for one in await self._rooms.participants(job.room)}
            target = target if target in inside else None
        return target or await self._choose(job, reported)

    async def _choose(self, job: JobRef, reported: str) -> str:
        """Return the learner of a job that this host did not dispatch: usually the one it sees.

        If that learner's lesson is over and another's is not, another host has dispatched the job
        for the other learner.

        Raises:
            LedgerError: If the ledger is unreachable.
            RoomsError: If LiveKit does not list the participants.
        """
        recorded = await self._await_ledger(self._ledger.closed_entries([job.room]))
        closed_entries = self._dispatch_state.closed_entries(job.room) | recorded[job.room]
        over = {entry for entry, tutor in closed_entries if tutor == job.tutor}
        if not over:
            return reported
        open_for = pick_open(await self._rooms.participants(job.room), over)
        return reported if reported in open_for or not open_for else open_for[0]

    async def language_for(self, room: str, tutor: str, identity: str) -> str:
        """Return a waiting learner's language, or the tutor's own if unknown.

        Raises:
            KeyError: If the tutor no longer runs here.
        """
        own = self._tutors[tutor].language
        with suppress(LearnerError, RefusedError, RoomsError):
            prepared = await self._prepare(JobRef("", room, tutor), identity)
            self._prefetcher.give_back(prepared)
            return language_of(prepared, own)
        return own

    async def _await_join(self, link: JobLink) -> object:
        """Wait until a job has seen its learner, or must leave."""
        self._waiting.add(link)
        try:
            return (
                None if self._dispatch_state.departure_of(link.job.job_id) else await link.receive()
            )
        finally:
            self._waiting.discard(link)

    async def _dismiss(self, link: JobLink, reason: str) -> None:
        """Dismiss a job that has no lesson yet."""
        self._prefetcher.drop(link.job.job_id)
        await self._refusals.dismiss(link, reason)

    def running(self, room: str) -> list[LessonRow]:
        """List this host's lessons in a room that are not about to end."""
        here = self._live.get(room, ())
        return [one.row for one in here if not (one.finished or one.stepped_out)]

    async def step_out(self, lesson_id: str, away_since: float) -> None:
        """Request that a job leaves its lesson open, because its learner left at `away_since`."""
        for lesson in self._all_live():
            if lesson.row.id == lesson_id:
                await lesson.step_out(away_since)
                return

    def live(self) -> list[tuple[LessonRow, Mode, Mapping[EngineKind, int]]]:
        """List the running lessons, each with its mode and serving engines."""
        return [
            (one.row, self._api.mode(caller_of(one.row)), dict(one.engines))
            for one in self._all_live()
        ]

    def _all_live(self) -> Iterable[LiveLesson]:
        return chain.from_iterable(self._live.values())

    def late(self) -> list[float]:
        """List the response delay of each running lesson, in seconds."""
        return [one.late for one in self._all_live()]

    async def announce_departure(self, jobs: Collection[str]) -> None:
        """Notify the lessons of these jobs of their deadline, until which they continue.

        Jobs that still wait for their learner are dismissed.
        """
        announcements = [
            self._announce(lesson) for lesson in self._all_live() if lesson.link.job.job_id in jobs
        ]
        announcements += [
            self._dismiss(link, departure.reason)
            for link in self._waiting
            if link.job.job_id in jobs
            and (departure := self._dispatch_state.departure_of(link.job.job_id))
        ]
        await asyncio.gather(*announcements, return_exceptions=True)

    async def cut_off(self, jobs: Collection[str]) -> None:
        """Make these jobs leave their rooms now. Their lessons stay open for other jobs."""
        cut_off = [lesson for lesson in self._all_live() if lesson.link.job.job_id in jobs]
        await asyncio.gather(*(lesson.cut_off() for lesson in cut_off))

    async def leave(self, room: str, tutor: str) -> None:
        """Cut off a tutor's lesson in a room, which another host has resumed.

        LiveKit lets the tutor of a host that was frozen or cut off back into the room.
        """
        for lesson in [*self._live.get(room, ())]:
            row = lesson.row
            if row.tutor == tutor and not lesson.finished:
                log.warning("lesson.resumed_elsewhere", tutor=tutor, room=room, **row.bound)
                await lesson.cut_off()

    def withdraw(self) -> None:
        """Leave current and future interrupted lessons to other hosts, because this one stops."""
        self._dispatch_state.leaving = True
        for lesson in self._dispatch_state.all_interrupted().values():
            if self._dispatch_state.drop_interrupted(lesson):
                self._tasks.create_task(self._ledger.release(lesson.row))

    def see(self, room: str, participants: Sequence[Participant]) -> None:
        """Handle the current participants of a room."""
        for lesson in self._live.get(room, ()):
            self._tasks.create_task(lesson.see(participants))

    async def close(self, row: LessonRow, reason: str) -> None:
        """Close an interrupted lesson with its last progress, or the record its tutor left."""
        left = saved_ending(row.state)
        handback = Handback(outcome="taught" if left else "failed")
        if left is None:
            await self._give_up(row, reason, handback)
        else:
            self._metrics.observe_record(row, left)
            log_recorded(row, "learner_left", left)
            await self._write_record(row, left, handback, interrupted=False)
        self._dispatch_state.on_handed_back(row.room, row.tutor, handback)

    async def _give_up(self, row: LessonRow, reason: str, handback: Handback) -> None:
        """Write the record of a lesson without a report from its tutor."""
        rules = self._settings().records
        composed = compose_record(row, None, row.seconds, rules, failed=True)
        self._metrics.given_up.labels(row.tutor, reason).inc()
        self._metrics.ended.labels(row.tutor, composed.outcome.value).inc()
        log.error(
            "lesson.given_up",
            tutor=row.tutor,
            room=row.room,
            why=reason,
            outcome=composed.outcome.value,
            **row.bound,
        )
        reasons = (f"interrupted: {reason}", *composed.reasons, *engines_used(row.state))
        it = replace(composed, reasons=reasons)
        await self._write_record(row, it, handback, interrupted=True)

    async def _write_record(
        self, row: LessonRow, it: Composed, handback: Handback, *, interrupted: bool
    ) -> None:
        await self._ledger.close_lesson(
            row,
            self._clock.now(),
            it.outcome,
            it.progress,
            it.record,
            (*it.reasons, *it.quoted_reasons),
            interrupted=interrupted,
            handback=handback,
        )
        self._delivery.wake(row.id)

    async def _announce(self, lesson: LiveLesson) -> None:
        """Notify a lesson of its deadline, if its worker drains and time remains."""
        departure = self._dispatch_state.departure_of(lesson.link.job.job_id)
        if departure is not None and departure.leaves_time:
            message = WrapUp(reason=departure.reason, seconds=departure.seconds_left)
            await lesson.link.send(message)

    async def _claim(self, job: JobRef) -> None:
        """Claim the room in the ledger, so that no other host dispatches another tutor."""
        try:
            await self._ledger.claim(job.room, job.tutor, JOIN_SECONDS, arrived=True)
        except LedgerError as error:
            log.warning("ledger.failed", why=str(error))

    def _bind(self, job: JobRef) -> None:
        """Bind job and agent to the log lines of this task."""
        tutor = self._tutors.get(job.tutor)
        known = {"agent_id": tutor and tutor.agent_id, "room": job.room, "job_id": job.job_id}
        structlog.contextvars.bind_contextvars(**{key: it for key, it in known.items() if it})

    async def _prepare(self, job: JobRef, identity: str | None) -> PreparedLesson:
        self._bind(job)
        agent_id = self._tutors[job.tutor].agent_id
        target = identity or self._dispatch_state.target_of(job)
        return await prepare(
            self._rooms,
            self._api,
            self._metrics,
            room=job.room,
            agent_id=agent_id,
            identity=target,
        )

    async def _open(self, link: JobLink, prepared: PreparedLesson) -> LiveLesson:
        try:
            self._take_room(link.job)
            row, lost = await self._open_or_resume(link.job, prepared)
        except BaseException:
            self._dispatch_state.on_over(link.job)
            self._prefetcher.give_back(prepared)
            raise
        structlog.contextvars.bind_contextvars(**row.bound)
        row = join_trace(row, lost.row if lost else row)
        counter = self._metrics.resumed if row.restarts else self._metrics.opened
        counter.labels(row.tutor).inc()
        opened = "lesson.resumed" if row.restarts else "lesson.opened"
        log.info(opened, tutor=row.tutor, room=row.room, mode=prepared.mode)
        live = LiveLesson(row, link, self._services, prepared, self._handoffs)
        accepted = self._accepted.pop(link.job.job_id, None)
        live.before_ready = None if accepted is None else self._clock.monotonic() - accepted
        live.before_restored = self._dispatch_state.outage(lost)
        return live

    def _take_room(self, job: JobRef) -> None:
        """Refuse a second job of the same tutor in a room; LiveKit does not (#944)."""
        if job.tutor in self._dispatch_state.taught(job.room):
            raise LearnerError(ALREADY_TAUGHT, "the room has this tutor already")
        self._dispatch_state.on_taught(job)

    async def _open_or_resume(
        self, job: JobRef, prepared: PreparedLesson
    ) -> tuple[LessonRow, Interrupted | None]:
        """Return the job's lesson, and the interrupted lesson that it resumes, if known."""
        agent_name = self._tutors[job.tutor].agent_name
        lesson = new_lesson(prepared, job.tutor, self._clock.now())
        row = await self._await_ledger(self._ledger.open_lesson(lesson, agent_name))
        lost = self._dispatch_state.on_resumed(row)
        if row.crashes >= MAX_CRASHES:
            await self.close(row, CRASH_LOOP)
            raise LearnerError(CRASH_LOOP, "the tutor has crashed repeatedly in this lesson")
        return row, lost

    async def _await_ledger(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for the ledger until it does not respond, if another host could start the lesson.

        What the ledger does of it nevertheless is a lesson without a job, which is restored.

        Raises:
            LedgerError: If the ledger is unreachable or does not respond.
        """
        task = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({task}, timeout=PATIENCE_SECONDS))[0]:
                if self._dispatch_state.shared and not self._ledger.responsive:
                    raise LedgerError("the ledger does not respond; another host may reach it")
            return task.result()
        finally:
            task.cancel()

    async def _teach(self, lesson: LiveLesson, prepared: PreparedLesson) -> None:
        try:
            async with self._watched(lesson), self._captured(lesson, prepared):
                tutor = self._tutors[lesson.row.tutor]
                engines = first_engines(
                    one.engines for one in self._all_live() if one.row.tutor == lesson.row.tutor
                )
                await lesson.link.send(welcome(lesson.row, prepared, tutor, engines))
                await self._announce(lesson)
                await lesson.follow()
        finally:
            await self._leave(lesson)
            if lesson.leased:
                self._tasks.create_task(self._release_when_delivered(lesson.row))

    def _captured(
        self, lesson: LiveLesson, prepared: PreparedLesson
    ) -> AbstractAsyncContextManager[None]:
        directory = self._settings().ledger.captures
        captures = Captures(directory, self._ledger.keys) if directory else None
        return captured(captures, lesson.row, lesson.link, prepared, self._clock.monotonic)

    async def _leave(self, lesson: LiveLesson) -> None:
        """Clean up after a link has ended. An unfinished lesson will be restored."""
        job, row = lesson.link.job, lesson.row
        if lesson.finished:
            # The reconciler may have read the ledger just before the lesson was closed there.
            self._dispatch_state.on_closed(job, row.entry)
            self._dispatch_state.on_handed_back(row.room, row.tutor, lesson.handback)
        self._dispatch_state.on_over(job)
        if lesson.finished:
            return
        row = replace(row, crashes=row.crashes + lesson.would_be_crash)
        seconds = round(row.seconds, 1)
        if lesson.stepped_out:
            log.info("lesson.stepped_out", tutor=row.tutor, seconds=seconds)
        else:
            crashed = lesson.would_be_crash
            self._metrics.interrupted.labels(row.tutor).inc()
            log.error("lesson.interrupted", tutor=row.tutor, seconds=seconds, crashed=crashed)
        if not self._dispatch_state.leaving:
            since = lesson.away_since if lesson.stepped_out else None
            self._dispatch_state.on_interrupted(row, job.agent, since)
        await self._ledger.interrupt(row)
        if self._dispatch_state.leaving:
            await self._ledger.release(row)

    @asynccontextmanager
    async def _watched(self, lesson: LiveLesson) -> AsyncIterator[None]:
        """Register the lesson, poll its permissions and, in mock mode, retry the token exchange."""
        room = lesson.row.room
        self._live.setdefault(room, set()).add(lesson)
        try:
            async with supervised() as watching:
                watching.create_task(
                    forever(partial(check_health, lesson, self._api, self._health_every))
                )
                if not lesson.leased:
                    watching.create_task(
                        forever(
                            partial(acquire_token_when_reachable, lesson, self._api, self._metrics)
                        )
                    )
                yield
        finally:
            self._live[room].discard(lesson)
            if not self._live[room]:
                del self._live[room]

    def _health_every(self) -> float:
        return self._settings().lessons.health_every

    def _on_mode(self, caller: Caller, mode: Mode) -> None:
        for lesson in self._all_live():
            if caller_of(lesson.row) == caller:
                log.info("lesson.mode_changed", mode=mode, room=caller.room, **lesson.row.bound)
                self._tasks.create_task(lesson.link.send(ModeChanged(mode=mode)))

    async def _release_when_delivered(self, row: LessonRow) -> None:
        await self._delivery.wait_delivered(row.id)
        self._api.release(caller_of(row))
