"""One trace a lesson: what host and jobs did for it, under ids of the lesson's own.

What a job is accepted for is known only once its learner is; it may be a lesson that another job
began. So spans are kept until then, and handed on as the lesson's.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import islice
from typing import Final

import structlog
from opentelemetry import context, trace
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext, Status, StatusCode, TraceFlags

from loqua_host.link.server import JobLink, JobRef
from loqua_host.link.spans import SpanTold
from loqua_host.records.ledger import LessonRow
from loqua_host.records.traces import root_of

__all__ = ["LESSON", "Traces", "adopt", "is_wanted", "take"]

log = structlog.get_logger()
tracer = trace.get_tracer("loqua_host")

LESSON: Final = "lesson"
"""The span of a job, from when it is offered or foreseen to the end of its link."""

BOUND: Final = ("agent_id", "session_id", "user_id")
"""What each span says, as each line of the log does."""

KEPT_JOBS: Final = 1000
"""Past jobs whose late spans find their lesson, such as a token's refresh."""

HELD_SPANS: Final = 256
"""Spans of one job that wait for its lesson, at most."""

TAKEN_SPANS: Final = 20_000
"""Spans that one job may send; a lesson of an hour has some five thousand."""

UNENDED: Final = "unended"
"""In place of a span that others are below, and that a job began and never told of."""

UNJOINED_SECONDS: Final = 120.0
"""When a job that has no link yet has none any more."""


@dataclass(frozen=True, slots=True)
class _Lesson:
    """The lesson that a job turned out to teach; `resumed` is one that another job began."""

    root: SpanContext
    attributes: Mapping[str, str]
    resumed: bool


class _JobTrace:
    """The spans of one job, on both sides of the link."""

    def __init__(
        self,
        tutor: str,
        span: Span,
        hand_on: Callable[[ReadableSpan], None],
        samples: Callable[[int], bool],
    ) -> None:
        self.over = False
        self.wanted = True
        self._own = span.get_span_context()
        self._resource = span.resource
        self._tutor = tutor
        self._hand_on = hand_on
        self._samples = samples
        self._lesson: _Lesson | None = None
        self._held: list[ReadableSpan] = []
        self._taken: set[int] = set()
        self._missing: dict[int, int] = {}

    def ended(self, span: ReadableSpan) -> None:
        """Hand on a span, or hold it until the lesson is known or there is none to come."""
        if span.context == self._own:
            self._end()
        if not self.wanted:
            return
        if self._lesson is not None:
            self._hand_on(self._as_lessons(span, self._lesson))
        elif self.over:
            self._hand_on(span)
        elif len(self._held) < HELD_SPANS:
            self._held.append(span)

    def adopt(self, row: LessonRow) -> None:
        """Hear which lesson it is, and so whether it is sampled: in each host that teaches it."""
        root = root_of(row.id)
        self.wanted = self._samples(root.trace_id)
        self._lesson = _Lesson(root, row.bound, resumed=row.restarts > 0)
        held, self._held = self._held, []
        for span in held:
            self.ended(span)

    def take(self, spans: Iterable[SpanTold]) -> None:
        """Take what the job tells as part of its own lesson's trace, whatever it meant."""
        for told in spans if self.wanted else ():
            if len(self._taken) == TAKEN_SPANS:
                log.warning("spans.refused", why=f"a job may send {TAKEN_SPANS}")
                return
            self._note(told)
            self.ended(self._from_job(told))

    def _note(self, told: SpanTold) -> None:
        """Keep which spans are still to come: parents end after what is below them."""
        self._taken.add(told.id)
        self._missing.pop(told.id, None)
        if told.parent is not None and told.parent not in self._taken:
            begun = self._missing.get(told.parent, told.begun)
            self._missing[told.parent] = min(told.begun, begun)

    def _end(self) -> None:
        """Hand on what waits in vain, with something in place of spans that did not end."""
        self.over = True
        if self._lesson is None:
            self.wanted = self._samples(self._own.trace_id)
        for span in self._held:
            self.ended(span)
        for span_id, begun in self._missing.items():
            self.ended(self._from_job(_unended(span_id, begun)))
        for kept in (self._held, self._missing, self._taken):
            kept.clear()

    def _from_job(self, told: SpanTold) -> ReadableSpan:
        name = self._resource.attributes.get(SERVICE_NAME, "")
        return ReadableSpan(
            told.name,
            context=_sibling(self._own, told.id),
            parent=self._own if told.parent is None else _sibling(self._own, told.parent),
            resource=self._resource.merge(Resource({SERVICE_NAME: f"{name}-job"})),
            attributes={**told.attributes, "tutor": self._tutor},
            events=[Event(one.name, one.attributes, one.at) for one in told.events],
            status=Status(StatusCode.ERROR if told.failed else StatusCode.UNSET),
            start_time=told.begun,
            end_time=max(told.begun, told.ended),
            instrumentation_scope=InstrumentationScope(told.scope),
        )

    def _as_lessons(self, span: ReadableSpan, lesson: _Lesson) -> ReadableSpan:
        parent = span.parent and self._lessons_id(span.parent, lesson)
        if parent is None and lesson.resumed:
            parent = lesson.root
        return ReadableSpan(
            span.name,
            context=self._lessons_id(span.context or INVALID_SPAN_CONTEXT, lesson),
            parent=parent,
            resource=span.resource,
            attributes={**(span.attributes or {}), **lesson.attributes},
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )

    def _lessons_id(self, own: SpanContext, lesson: _Lesson) -> SpanContext:
        first = own == self._own and not lesson.resumed
        return lesson.root if first else _sibling(lesson.root, own.span_id)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A trace whose first span has not ended."""

    span: Span
    trace: _JobTrace


_CURRENT: ContextVar[_JobTrace | None] = ContextVar("trace", default=None)


def adopt(row: LessonRow) -> None:
    """Say which lesson the job is for that is attended here."""
    if (job := _CURRENT.get()) is not None:
        job.adopt(row)


def is_wanted() -> bool:
    """Say whether spans are wanted of the job that is attended here."""
    job = _CURRENT.get()
    return job is not None and job.wanted


def take(spans: Iterable[SpanTold]) -> None:
    """Take spans from the job that is attended here."""
    if (job := _CURRENT.get()) is not None:
        job.take(spans)


class Traces(SpanProcessor):
    """Gives each accepted job a trace, and hands spans on as their lessons'.

    Args:
        onward: What takes the spans; nobody, and nothing is traced.
        samples: Says of a trace's id whether it is sampled. A lesson's follows from its own.
    """

    def __init__(
        self,
        onward: SpanProcessor | None = None,
        samples: Callable[[int], bool] = lambda _trace_id: True,
    ) -> None:
        self.on = onward is not None
        self._samples = samples
        self._onward = onward or SpanProcessor()
        self._foreseen: dict[tuple[str, str], _Begun] = {}
        self._unjoined: dict[str, _Begun] = {}
        self._jobs: dict[int, _JobTrace] = {}

    def wants(self, trace_id: int) -> bool:
        """Say whether spans of a trace are to be made: a job's, until its lesson is left out."""
        job = self._jobs.get(trace_id)
        return self._samples(trace_id) if job is None else job.wanted

    def foreseeing(
        self, foresee: Callable[[str, str, str], None]
    ) -> Callable[[str, str, str], None]:
        """Have a trace begin with a lesson that is prepared before its job is there."""

        def traced(room: str, tutor: str, identity: str) -> None:
            where = (room, tutor)
            if where not in self._foreseen and (begun := self._begin(room, tutor)):
                self._foreseen[where] = begun
                asyncio.get_running_loop().call_later(UNJOINED_SECONDS, self._forget, where, begun)
            with _within(self._foreseen.get(where)):
                foresee(room, tutor, identity)

        return traced

    def accepting(self, begin: Callable[[JobRef], None]) -> Callable[[JobRef], None]:
        """Have a trace begin with each job, or go on if its lesson was foreseen."""

        def traced(job: JobRef) -> None:
            foreseen = self._foreseen.pop((job.room, job.tutor), None)
            begun = foreseen or self._begin(job.room, job.tutor)
            if begun is not None:
                begun.span.set_attribute("job_id", job.job_id)
                self._unjoined[job.job_id] = begun
                asyncio.get_running_loop().call_later(UNJOINED_SECONDS, self._give_up, job.job_id)
            with _within(begun):
                begin(job)

        return traced

    def attending(
        self, attend: Callable[[JobLink], Awaitable[None]]
    ) -> Callable[[JobLink], Awaitable[None]]:
        """Have a job's trace go on with its link, and end with it."""

        async def traced(link: JobLink) -> None:
            begun = self._unjoined.pop(link.job.job_id, None)
            _CURRENT.set(None if begun is None else begun.trace)  # for this link's own task
            with _within(begun, end_on_exit=True):
                await attend(link)

        return traced

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        """Say on a span what each line of the log says."""
        del parent_context
        bound = structlog.contextvars.get_contextvars()
        span.set_attributes({name: bound[name] for name in BOUND if name in bound})

    def on_end(self, span: ReadableSpan) -> None:
        """Hand on a span, as its lesson's if it is a job's."""
        job = self._jobs.get((span.context or INVALID_SPAN_CONTEXT).trace_id)
        (self._onward.on_end if job is None else job.ended)(span)

    def shutdown(self) -> None:
        """Have what was handed on leave before the host does."""
        self._onward.shutdown()

    def _begin(self, room: str, tutor: str) -> _Begun | None:
        attributes = {"tutor": tutor, "room": room}
        span = tracer.start_span(LESSON, context.Context(), attributes=attributes)
        if not isinstance(span, Span):
            return None
        begun = _Begun(span, _JobTrace(tutor, span, self._onward.on_end, self._samples))
        self._jobs[span.get_span_context().trace_id] = begun.trace
        self._forget_past_jobs()
        return begun

    def _forget_past_jobs(self) -> None:
        """Forget the oldest that are over; a lesson that lasts long keeps no others."""
        past = (trace_id for trace_id, job in self._jobs.items() if job.over)
        for trace_id in list(islice(past, max(0, len(self._jobs) - KEPT_JOBS))):
            del self._jobs[trace_id]

    def _give_up(self, job_id: str) -> None:
        if (begun := self._unjoined.pop(job_id, None)) is not None:
            begun.span.end()

    def _forget(self, where: tuple[str, str], begun: _Begun) -> None:
        """Let a lesson go that nobody taught: there is nothing to tell of it."""
        if self._foreseen.get(where) is begun:
            del self._foreseen[where]
            del self._jobs[begun.span.get_span_context().trace_id]


def _within(begun: _Begun | None, *, end_on_exit: bool = False) -> AbstractContextManager[object]:
    """Have what is done in a block be part of a trace, if there is one."""
    if begun is None:
        return nullcontext()
    return trace.use_span(begun.span, end_on_exit=end_on_exit, record_exception=False)


def _unended(span_id: int, begun: int) -> SpanTold:
    return SpanTold(name=UNENDED, scope="-", id=span_id, begun=begun, ended=time.time_ns())


def _sibling(one: SpanContext, span_id: int) -> SpanContext:
    """Give the ids of another span of the same trace."""
    return SpanContext(
        one.trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )
