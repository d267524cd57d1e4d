"""Tracing: export by OTLP, configured by OpenTelemetry's own variables.

Each job is one trace, from LiveKit's job offer to the delivery of the record. The trace of a
resumed lesson links to that of the job before.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import (
    Event,
    ReadableSpan,
    Span,
    SpanLimits,
    SpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode

from loqua_host.errors import ConfigError, Problem
from loqua_host.link.spans import JobSpan, without_speech
from loqua_host.settings.tracing import wants_traces
from loqua_host.system.environment import temporary_environ

__all__ = ["LESSON", "open_traces", "start_trace", "take_spans"]

LESSON: Final = "lesson"
"""The name of a job's span, from its offer or prefetch to the end of its link."""

BOUND: Final = ("agent_id", "session_id", "user_id")
"""Ids that spans share with log lines."""

LONGEST_TEXT: Final = 512

tracer = trace.get_tracer("loqua_host")


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
            provider = _HostTracerProvider(BatchSpanProcessor(_Redacting(OTLPSpanExporter())))
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


class _HostTracerProvider(TracerProvider):
    """A tracer provider that also exports the spans of jobs."""

    def __init__(self, exporting: SpanProcessor) -> None:
        limits = SpanLimits(max_attribute_length=LONGEST_TEXT)
        super().__init__(resource=_resource(), shutdown_on_exit=False, span_limits=limits)
        # OTEL_TRACES_SAMPLER decides for root spans; the others follow their parents.
        self.sampler = ParentBased(_LessonSampler(self.sampler))
        self.add_span_processor(_BoundIds())
        self.add_span_processor(exporting)
        self.exporting = exporting
        job = {SERVICE_NAME: f"{self.resource.attributes[SERVICE_NAME]!s}-job"}
        self.job_resource = self.resource.merge(Resource(job))


def _resource() -> Resource:
    given = Resource.create()
    unnamed = str(given.attributes[SERVICE_NAME]).startswith("unknown_service")
    return given.merge(Resource({SERVICE_NAME: "loqua-host"})) if unnamed else given


class _LessonSampler(Sampler):
    """Sample root spans of lessons only, and not, for example, polls of the ledger."""

    def __init__(self, chosen: Sampler) -> None:
        self._chosen = chosen

    def should_sample(
        self, parent_context: Context | None, trace_id: int, name: str, *others: Any, **named: Any
    ) -> SamplingResult:
        """Return the sampling decision for a span."""
        if name != LESSON:
            return SamplingResult(Decision.DROP)
        return self._chosen.should_sample(parent_context, trace_id, name, *others, **named)

    def get_description(self) -> str:
        """Return a description of this sampler."""
        return f"lessons by {self._chosen.get_description()}"


class _BoundIds(SpanProcessor):
    """Set the log's bound ids as attributes of each span."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set the bound ids."""
        del parent_context
        bound = structlog.contextvars.get_contextvars()
        span.set_attributes({name: bound[name] for name in BOUND if name in bound})


class _Redacting(SpanExporter):
    """Remove text that somebody may have said, as the last step before the export."""

    def __init__(self, onward: SpanExporter) -> None:
        self._onward = onward

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans, in the exporter's own thread."""
        return self._onward.export([_redacted(span) for span in spans])

    def shutdown(self) -> None:
        """Shut the exporter down."""
        self._onward.shutdown()


def _redacted(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=without_speech(span.attributes),
        events=[
            Event(one.name, without_speech(one.attributes), one.timestamp) for one in span.events
        ],
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
