"""A running lesson in the host: handle its job's messages and save them to the ledger."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from loqua_host.contract.handoff import Handback
from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import LessonReport, Mode, Progress
from loqua_host.errors import LearnerError, RoomsError
from loqua_host.link.messages import (
    CallbackFailed,
    CallSpecialist,
    Checkpoint,
    ConnectionLost,
    ContextLoaded,
    EngineKind,
    EngineServes,
    Finish,
    FromJob,
    HookTimed,
    Join,
    Late,
    Others,
    ProgressRefused,
    Recorded,
    Returned,
    Spans,
    StepOut,
    SteppedOut,
    VoiceTimed,
    WrapUp,
)
from loqua_host.link.server import JobLink
from loqua_host.records.ledger import LessonRow
from loqua_host.records.session_record import Composed, compose_record, has_failed, merge_progress
from loqua_host.rooms.learners import Participant, identified, pick_learner
from loqua_host.system.tasks import supervised

from .handoffs import Handoffs
from .metrics import CALLBACK
from .prepared_lesson import PreparedLesson
from .services import Services
from .stored_state import add_ending, add_engine, build_state, engines_used
from .tracing import take_spans

__all__ = ["LiveLesson", "log_recorded"]

log = structlog.get_logger()

MOST_OTHERS = 50
"""Maximum of other learners that a tutor is notified of."""

USER_CHANGED = "user_id_changed"


class LiveLesson:
    """One open lesson and the link to its job.

    Attributes:
        row: The lesson in the ledger.
        leased: Whether its caller's user token is leased and must be released.
        informed: Whether its job has the learner's current context from the API.
        seen_again: Set when the learner returns, or the tutor's connection is back.
        would_be_crash: Whether the end of the link would count as a crash: not if the job has lost
            LiveKit, has made room for another learner, or was cut off.
        away_since: When the learner left, by the host's monotonic clock, if others wait.
        stepped_out: Whether its job has left it open until the learner returns.
        finished: Whether its record is in the ledger.
        handback: The result for a tutor that called this specialist.
        engines: The index of the serving engine, by kind.
        late: The response delay of its job, in seconds.
        before_ready: Seconds from the accepted job to the lesson; None once its tutor is ready.
        before_restored: Seconds from the loss of the tutor to the lesson, if it was lost; None
            once its tutor is ready.
    """

    def __init__(
        self,
        row: LessonRow,
        link: JobLink,
        services: Services,
        prepared: PreparedLesson,
        handoffs: Handoffs,
    ) -> None:
        self.row = row
        self.link = link
        self.leased = prepared.leased
        self.informed = prepared.mode is Mode.FULL
        self._ledger = services.ledger
        self._delivery = services.delivery
        self._rooms = services.rooms
        self._clock = services.clock
        self._before, self._since = row.seconds, services.clock.monotonic()
        self._rules = services.settings().records
        self._known = prepared.known
        self._handoffs = handoffs
        self._metrics = services.metrics
        self.seen_again = asyncio.Event()
        self.would_be_crash = True
        self.away_since: float | None = None
        self.stepped_out = False
        self.finished = False
        self.handback = Handback(outcome="failed")
        self.engines: dict[EngineKind, int] = {}
        self.late = 0.0
        self.before_ready: float | None = None
        self.before_restored: float | None = None
        self._others = Others(others=(), entries=())
        self._user_changed = False

    async def follow(self) -> None:
        """Handle the job's messages until it has finished the lesson or is gone."""
        async with supervised() as tasks:
            if self.row.called:
                tasks.create_task(self._take_up_call())
            await self._follow(tasks)

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        while not self.finished and (message := await self.link.receive()) is not None:
            match message:
                case Checkpoint():
                    await self._keep(message)
                case Finish():
                    await self._finish(message)
                case SteppedOut():
                    await self._keep_ending(message)
                case Join(identity=identity):
                    await self._handle_return(identity, tasks)
                case ConnectionLost():
                    self.would_be_crash = False
                case CallSpecialist():
                    tasks.create_task(self._hand_off(message))
                case EngineServes(kind=kind, index=index):
                    self._note_engine(kind, index)
                case _:
                    self._observe(message)

    def _observe(self, message: FromJob) -> None:
        """Record metrics and spans from the job."""
        tutor = self.row.tutor
        match message:
            case VoiceTimed(stages=stages):
                self._metrics.observe_voice(tutor, message)
                log.debug("voice.timed", tutor=tutor, **stages)
            case HookTimed():
                self._observe_hook(message)
                log.debug("hook.timed", tutor=tutor, **message.model_dump(exclude={"type"}))
            case CallbackFailed():
                self._metrics.hook_failures.labels(tutor, CALLBACK).inc()
                log.debug("callback.failed", tutor=tutor)
            case Late(seconds=seconds):
                self.late = seconds
            case Spans(spans=spans):
                take_spans(spans)

    def _observe_hook(self, timed: HookTimed) -> None:
        """Observe a hook's duration, and after the first `on_user_ready` the time until then."""
        tutor, metrics = self.row.tutor, self._metrics
        metrics.observe_hook(tutor, timed)
        if timed.hook != "on_user_ready" or timed.failed:
            return
        if self.before_ready is not None:
            metrics.ready_seconds.labels(tutor).observe(self.before_ready + timed.after)
        if self.before_restored is not None:
            metrics.restore_seconds.labels(tutor).observe(self.before_restored + timed.after)
        self.before_ready = self.before_restored = None

    def _note_engine(self, kind: EngineKind, index: int) -> None:
        """Note which engine serves. A first engine that serves from the start is not logged."""
        before = self.engines.get(kind, 0)
        self.engines[kind] = index
        self.row = replace(self.row, state=add_engine(self.row.state, kind, index))
        if index != before:
            write_log = log.warning if index else log.info
            to = "fallback" if index else "first"
            self._metrics.engine_switches.labels(self.row.tutor, kind, to).inc()
            write_log("engine.switched", tutor=self.row.tutor, kind=kind, index=index, to=to)

    async def cut_off(self) -> None:
        """Make the job leave at once, which does not count as a crash."""
        self.would_be_crash = False
        await self.link.close()

    async def step_out(self, away_since: float) -> None:
        """Request that the job ends and leaves the lesson open, if it also sees no learner."""
        self.away_since = away_since
        await self.link.send(StepOut())

    async def inform(self, context: LearnerContext) -> None:
        """Send the job the learner's context, which was unavailable when the lesson started."""
        self.informed = True
        await self.link.send(ContextLoaded(context=context))

    async def _hand_off(self, call: CallSpecialist) -> None:
        await self.link.send(await self._handoffs.hand_off(self.row, call))

    async def _take_up_call(self) -> None:
        await self.link.send(await self._handoffs.take_up(self.row))

    async def _handle_return(self, identity: str, tasks: asyncio.TaskGroup) -> None:
        """Notify the job that its learner is back, if this identity is the learner's.

        A separate task saves it to the ledger, so that the lesson does not wait.
        """
        try:
            participants = await self._rooms.participants(self.row.room)
            await self.see(participants)
            learner = pick_learner(participants, identity)
        except (RoomsError, LearnerError) as error:
            log.warning("learner.unknown", room=self.row.room, why=str(error))
            return
        if learner.user_id != self.row.user_id:
            return
        entry = next(one.sid for one in participants if one.identity == identity)
        self.row = replace(self.row, entry=entry)
        tasks.create_task(self._ledger.save_entry(self.row.id, entry))
        log.info("learner.returned", room=self.row.room)
        self.seen_again.set()
        await self.link.send(Returned(learner=learner))

    async def see(self, participants: Sequence[Participant]) -> None:
        """Handle the current participants: notify the job of other learners and of changes."""
        mine = [one for one in participants if one.sid and one.sid == self.row.entry]
        if any(one.attributes.get("user_id") != self.row.user_id for one in mine):
            await self._end_for_changed_user()
            return
        others = tuple(
            learner.model_copy(update={"attributes": {}})
            for learner in identified(participants)
            if learner.user_id != self.row.user_id
        )[:MOST_OTHERS]
        sids = {one.identity: one.sid for one in participants}
        notice = Others(others=others, entries=tuple(sids[one.identity] for one in others))
        if notice != self._others:
            self._others = notice
            await self.link.send(notice)

    async def _end_for_changed_user(self) -> None:
        """End a lesson whose learner's `user_id` has changed, to protect both learners' records."""
        if not self._user_changed:
            self._user_changed = True
            log.error(
                "security.user_id_changed",
                tutor=self.row.tutor,
                room=self.row.room,
                hint="find out who sets attributes of participants besides the API",
            )
            await self.link.send(WrapUp(reason=USER_CHANGED))

    async def _keep(self, message: Checkpoint) -> None:
        made = await self._merge(message.progress)
        progress = made or self.row.progress
        seconds = self._bounded(message.seconds)
        state = build_state(self.row.state, message.state, message.turns)
        self.row = replace(self.row, progress=progress, seconds=seconds, state=state)
        await self._ledger.save_progress(self.row, seconds, progress, state, send=made is not None)
        if made is not None:
            self._delivery.wake(self.row.id)
            log.info("progress.made", seconds=round(seconds, 1), words=made.words_learned)

    async def _merge(self, made: Progress | None) -> Progress | None:
        """Return valid new progress, or None after telling the job why it is invalid."""
        if made is None:
            return None
        try:
            return merge_progress(self.row.progress, made)
        except ValueError as error:
            log.warning("progress.refused", why=str(error))
            await self.link.send(ProgressRefused(why=str(error)))
            return None

    async def _keep_ending(self, message: SteppedOut) -> None:
        """Save the record to use if the learner does not return."""
        row, seconds, composed = self._end(message)
        state = add_ending(row.state, composed)
        self.row = replace(row, seconds=seconds, state=state)
        await self._ledger.save_progress(self.row, seconds, row.progress, state, send=False)
        self.would_be_crash, self.stepped_out = False, True
        await self.link.send(Recorded())

    def _end(self, message: Finish | SteppedOut) -> tuple[LessonRow, float, Composed]:
        """Return the lesson with its last progress, its seconds and its record."""
        seconds = self._bounded(message.ending.seconds)
        row = replace(self.row, progress=self._final(message.report))
        composed = compose_record(
            row,
            message.report,
            seconds,
            self._rules,
            self._known,
            failed=has_failed(message.ending.reason),
        )
        reasons = (*composed.reasons, *engines_used(row.state))
        return row, seconds, replace(composed, reasons=reasons)

    async def _finish(self, message: Finish) -> None:
        row, seconds, composed = self._end(message)
        self.handback = _handback(message, row.progress)
        await self._ledger.close_lesson(
            row,
            self._clock.now(),
            composed.outcome,
            composed.progress,
            composed.record,
            (*composed.reasons, *composed.quoted_reasons),
            handback=self.handback,
        )
        self._delivery.wake(self.row.id)
        self.finished = True
        await self.link.send(Recorded())
        row = replace(row, seconds=seconds)
        self._metrics.observe_record(row, composed)
        log_recorded(row, message.ending.reason_shown, composed)

    def _final(self, report: LessonReport | None) -> Progress | None:
        """Return the final progress. A report with lower counts than before is ignored."""
        if report is None or report.progress is None:
            return self.row.progress
        try:
            return merge_progress(self.row.progress, report.progress)
        except ValueError as error:
            log.warning("progress.refused", why=str(error))
            return self.row.progress

    def _bounded(self, seconds: float) -> float:
        """Bound the seconds taught that a job reports.

        They are at least the previous value, and at most what earlier jobs had taught plus the
        elapsed time by the monotonic clock.
        """
        passed = self._before + self._clock.monotonic() - self._since
        return max(self.row.seconds, min(seconds, passed))


def log_recorded(row: LessonRow, reason: str, composed: Composed) -> None:
    """Log the end of a lesson whose record is in the ledger."""
    log.info(
        "lesson.recorded",
        tutor=row.tutor,
        reason=reason,
        outcome=composed.outcome.value,
        seconds=round(row.seconds, 1),
        achievements=len(composed.record.achievements),
        reasons=composed.reasons,
        **row.bound,
    )


def _handback(message: Finish, progress: Progress | None) -> Handback:
    """Return the result of a lesson; the job's own failures end in `_failed` (job/sequence.py)."""
    if has_failed(message.ending.reason):
        return Handback(outcome="failed")
    report = message.report or LessonReport()
    return Handback(outcome="taught", report=report.model_copy(update={"progress": progress}))
