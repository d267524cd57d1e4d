"""Traces, exported by OTLP as OpenTelemetry's own variables say; without them there are none.

A trace is one job's: what host and job do from LiveKit's offer to the last record delivered. That
of a resumed lesson links to the trace of the job before.
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
from loqua_host.system.process import temporary_environ

__all__ = ["LESSON", "open_traces", "start_trace", "take_spans"]

LESSON: Final = "lesson"
"""The span of a job, from when it is offered or foreseen to the end of its link."""

BOUND: Final = ("agent_id", "session_id", "user_id")
"""What spans say as each line of the log does."""

LONGEST_TEXT: Final = 512

tracer = trace.get_tracer("loqua_host")


@contextmanager
def open_traces(environ: Mapping[str, str]) -> Iterator[bool]:
    """Export what is traced for the length of a block, and at its end what is left of it.

    Yields whether anything is.

    Args:
        environ: Has OpenTelemetry's variables, or no endpoint among them and nothing is traced
            (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).

    Raises:
        ConfigError: If OpenTelemetry does not take one of them.
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
    """Start the trace of a job; of one that is not sampled nothing is recorded."""
    return tracer.start_span(LESSON, Context(), attributes={"tutor": tutor, "room": room})


def take_spans(spans: Iterable[JobSpan]) -> None:
    """Export what the job whose span is the current one tells, as part of its trace."""
    lesson, provider = trace.get_current_span(), trace.get_tracer_provider()
    if isinstance(lesson, Span) and isinstance(provider, _HostTracerProvider):
        for told in spans:
            provider.exporting.on_end(_span_of(told, lesson, provider.job_resource))


class _HostTracerProvider(TracerProvider):
    """Makes spans of this process, and exports those of jobs, too."""

    def __init__(self, exporting: SpanProcessor) -> None:
        limits = SpanLimits(max_attribute_length=LONGEST_TEXT)
        super().__init__(resource=_resource(), shutdown_on_exit=False, span_limits=limits)
        # The one that OTEL_TRACES_SAMPLER names has the choice; the rest follow their parents.
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
    """Starts a trace with a lesson only: polls of the ledger and the like belong to none."""

    def __init__(self, chosen: Sampler) -> None:
        self._chosen = chosen

    def should_sample(
        self, parent_context: Context | None, trace_id: int, name: str, *others: Any, **named: Any
    ) -> SamplingResult:
        """Sample a lesson as was chosen."""
        if name != LESSON:
            return SamplingResult(Decision.DROP)
        return self._chosen.should_sample(parent_context, trace_id, name, *others, **named)

    def get_description(self) -> str:
        """Return what is sampled."""
        return f"lessons by {self._chosen.get_description()}"


class _BoundIds(SpanProcessor):
    """Has each span say what each line of the log says."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set the ids that are bound in the log."""
        del parent_context
        bound = structlog.contextvars.get_contextvars()
        span.set_attributes({name: bound[name] for name in BOUND if name in bound})


class _Redacting(SpanExporter):
    """Leaves out, as the last step, whatever could be what somebody said."""

    def __init__(self, onward: SpanExporter) -> None:
        self._onward = onward

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans, in the exporter's own thread."""
        return self._onward.export([_redacted(span) for span in spans])

    def shutdown(self) -> None:
        """Export nothing more."""
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


def _span_of(told: JobSpan, lesson: Span, resource: Resource) -> ReadableSpan:
    own = lesson.get_span_context()
    bound = {key: it for key, it in (lesson.attributes or {}).items() if key in (*BOUND, "tutor")}
    return ReadableSpan(
        told.name,
        context=_sibling(own, told.id),
        parent=own if told.parent is None else _sibling(own, told.parent),
        resource=resource,
        attributes={**told.attributes, **bound},
        events=[Event(one.name, one.attributes, one.at) for one in told.events],
        status=Status(StatusCode.ERROR if told.failed else StatusCode.UNSET),
        start_time=told.started_at,
        end_time=max(told.started_at, told.ended_at),
        instrumentation_scope=InstrumentationScope(told.scope),
    )


def _sibling(one: SpanContext, span_id: int) -> SpanContext:
    """Return the ids of another span of the same trace."""
    return SpanContext(one.trace_id, span_id, is_remote=True, trace_flags=one.trace_flags)
