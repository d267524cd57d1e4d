"""Tracing: export by OTLP, configured by OpenTelemetry's own variables.

Each job is one trace, from LiveKit's job offer to the delivery of the record. The trace of a
resumed lesson links to that of the job before.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, Span, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import DEFAULT_OFF
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode

from loqua_host.errors import ConfigError, Problem
from loqua_host.link.spans import LONGEST_TEXT, JobSpan, exportable
from loqua_host.settings.tracing import wants_traces
from loqua_host.system.environment import temporary_environ

__all__ = ["LESSON", "open_traces", "start_trace", "take_spans"]

LESSON: Final = "lesson"
"""The name of a job's span, from its offer or prefetch to the end of its link."""

BOUND: Final = ("agent_id", "session_id", "user_id")
"""Ids that spans share with log lines."""

LESSONS: Final = "loqua_host.lessons"
"""The name of the tracer that starts traces."""

tracer = trace.get_tracer(LESSONS)


@contextmanager
def open_traces(environ: Mapping[str, str]) -> Iterator[bool]:
    """Export spans for the duration of a block, and flush them at its end.

    Yields whether tracing is on.

    Args:
        environ: The environment with OpenTelemetry's variables
            (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).

    Raises:
        ConfigError: If OpenTelemetry rejects one of them.
    """
    if not wants_traces(environ):
        yield False
        return
    try:
        with temporary_environ(environ, "OTEL_"):
            provider = _HostTracerProvider(_LessonSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        raise ConfigError([Problem("OTEL_*", str(error), "correct or unset it")]) from None
    trace.set_tracer_provider(provider)
    try:
        yield True
    finally:
        provider.shutdown()


def start_trace(room: str, tutor: str) -> trace.Span:
    """Start the trace of a job."""
    return tracer.start_span(LESSON, Context(), attributes={"tutor": tutor, "room": room})


def take_spans(spans: Iterable[JobSpan]) -> None:
    """Export spans that a job has sent, as part of the current trace."""
    lesson, provider = trace.get_current_span(), trace.get_tracer_provider()
    if isinstance(lesson, Span) and isinstance(provider, _HostTracerProvider):
        for job_span in spans:
            provider.exporting.on_end(_span_of(job_span, lesson, provider.job_resource))


class _LessonSpanProcessor(BatchSpanProcessor):
    """Export spans with the log's bound ids, and without text that somebody may have said."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set the bound ids as attributes."""
        del parent_context
        bound = structlog.contextvars.get_contextvars()
        span.set_attributes({name: bound[name] for name in BOUND if name in bound})

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span for the export."""
        super().on_end(_redacted(span))


class _HostTracerProvider(TracerProvider):
    """A tracer provider that also exports the spans of jobs."""

    def __init__(self, exporting: _LessonSpanProcessor) -> None:
        resource = Resource.create({SERVICE_NAME: "loqua-host"})
        super().__init__(
            resource=resource.merge(OTELResourceDetector().detect()),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attribute_length=LONGEST_TEXT),
        )
        # OTEL_TRACES_SAMPLER decides for lessons. Spans of other tracers follow their parents, so
        # that a poll of the ledger, for example, starts no trace.
        self.get_tracer(LESSONS)
        self.sampler = DEFAULT_OFF
        self.add_span_processor(exporting)
        self.exporting = exporting
        job = {SERVICE_NAME: f"{self.resource.attributes[SERVICE_NAME]!s}-job"}
        self.job_resource = self.resource.merge(Resource(job))


def _redacted(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=exportable(span.attributes),
        events=[Event(one.name, exportable(one.attributes), one.timestamp) for one in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),  # its description is an exception's message
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _span_of(job_span: JobSpan, lesson: Span, resource: Resource) -> ReadableSpan:
    own = lesson.get_span_context()
    bound = {key: it for key, it in (lesson.attributes or {}).items() if key in (*BOUND, "tutor")}
    return ReadableSpan(
        job_span.name,
        context=_sibling(own, job_span.id),
        parent=own if job_span.parent is None else _sibling(own, job_span.parent),
        resource=resource,
        attributes={**job_span.attributes, **bound},
        events=[Event(one.name, one.attributes, one.at) for one in job_span.events],
        status=Status(StatusCode.ERROR if job_span.failed else StatusCode.UNSET),
        start_time=job_span.started_at,
        end_time=max(job_span.started_at, job_span.ended_at),
        instrumentation_scope=InstrumentationScope(job_span.scope),
    )


def _sibling(one: SpanContext, span_id: int) -> SpanContext:
    """Return the ids of another span of the same trace."""
    return SpanContext(one.trace_id, span_id, is_remote=True, trace_flags=one.trace_flags)
