"""Spans of a job (the host's, LiveKit's and the tutor's), buffered until they are sent to the host.

Only the host knows the collector's address and secret.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from livekit.agents import telemetry
from opentelemetry import context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from loqua_host.link.messages import Spans
from loqua_host.link.spans import LONGEST_TEXT, MAX_SPANS, JobSpan, JobSpanEvent

__all__ = ["SpanBuffer"]

MAX_BUFFERED: Final = 2048
"""Maximum of buffered spans; the oldest are dropped first."""

LIMITS: Final = SpanLimits(
    max_span_attributes=32,
    max_event_attributes=8,
    max_events=16,
    max_attribute_length=LONGEST_TEXT,
)
"""Span limits with which a full message fits into its maximum size."""

JOB: Final = "job_entrypoint"
"""LiveKit's span of a job, which ends after the link is closed (livekit-agents 1.8.9,
ipc/job_proc_lazy_main.py)."""


class SpanBuffer(SpanProcessor):
    """Buffer ended spans until they are drained."""

    def __init__(self) -> None:
        self._ended: deque[ReadableSpan] = deque(maxlen=MAX_BUFFERED)
        self._job = 0

    def collect(self) -> None:
        """Collect all spans of this process, without what learners and tutors say."""
        provider = TracerProvider(
            ALWAYS_ON, Resource.get_empty(), shutdown_on_exit=False, span_limits=LIMITS
        )
        telemetry.set_tracer_provider(provider, allow_pii=False)
        provider.add_span_processor(self)
        trace.set_tracer_provider(provider)

    def discard(self) -> None:
        """Drop all spans, now and later, because the lesson is not sampled."""
        self._ended = deque(maxlen=0)
        telemetry.set_tracer_provider(trace.NoOpTracerProvider())  # most spans are LiveKit's

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        """Note the job's span."""
        del parent_context
        if span.name == JOB:
            self._job = span.get_span_context().span_id

    def on_end(self, span: ReadableSpan) -> None:
        """Buffer a span."""
        self._ended.append(span)

    def drain(self) -> Iterator[Spans]:
        """Yield the buffered spans, in messages to the host."""
        while self._ended:
            many = min(len(self._ended), MAX_SPANS)
            yield Spans(spans=tuple(self._as_data(self._ended.popleft()) for _ in range(many)))

    def _as_data(self, span: ReadableSpan) -> JobSpan:
        started_at, parent, scope = span.start_time or 0, span.parent, span.instrumentation_scope
        return JobSpan(
            name=span.name,
            scope=scope.name if scope else "",
            id=(span.context or trace.INVALID_SPAN_CONTEXT).span_id,
            parent=None if parent is None or parent.span_id == self._job else parent.span_id,
            started_at=started_at,
            ended_at=span.end_time or started_at,
            failed=span.status.status_code is trace.StatusCode.ERROR,
            attributes=dict(span.attributes or {}),
            events=tuple(
                JobSpanEvent(name=one.name, at=one.timestamp, attributes=dict(one.attributes or {}))
                for one in span.events
            ),
        )
