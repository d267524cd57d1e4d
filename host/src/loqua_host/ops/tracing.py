"""Traces, exported by OTLP as OpenTelemetry's own variables say; without them there are none."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, Status
from opentelemetry.util.types import Attributes, AttributeValue
from structlog.typing import EventDict, WrappedLogger

from loqua_host.errors import ConfigError, Problem
from loqua_host.lessons.traces import LESSON, Traces
from loqua_host.process import lend
from loqua_host.settings.tracing import wants_traces

from .logs import hide_tokens

__all__ = ["note_event", "open_traces"]

LONGEST_TEXT: Final = 512
"""Characters of an attribute."""


@contextmanager
def open_traces(environ: Mapping[str, str]) -> Iterator[Traces]:
    """Export what is traced for the length of a block, and at its end what is left of it.

    Args:
        environ: Has OpenTelemetry's variables, or no endpoint among them and nothing is traced
            (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).

    Raises:
        ConfigError: If one of them is out of bounds.
    """
    if not wants_traces(environ):
        yield Traces()
        return
    logging.getLogger("opentelemetry.util.re").disabled = True  # it quotes a collector's headers
    try:
        with lend(environ, "OTEL_"):
            provider, traces = _build()
    except ValueError as error:
        mend = "mend or unset it"
        raise ConfigError([Problem("OTEL_*", str(error), mend)]) from None
    trace.set_tracer_provider(provider)
    try:
        yield traces
    finally:
        provider.shutdown()


def note_event(_logger: WrappedLogger, method: str, line: EventDict) -> EventDict:
    """Note what the host logs in the span in which it happens, such as each `api.called`."""
    span = trace.get_current_span()
    if span.is_recording() and method != "debug":
        span.add_event(str(line["event"]), _plain(line))
    return line


def _build() -> tuple[TracerProvider, Traces]:
    """Build what makes spans, and what they go through on their way to a collector."""
    provider = TracerProvider(
        resource=_resource(),
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_attribute_length=LONGEST_TEXT),
    )
    samples = partial(_samples, provider.sampler)  # the one that OTEL_TRACES_SAMPLER names
    traces = Traces(BatchSpanProcessor(_Scrubbing(OTLPSpanExporter())), samples)
    provider.sampler = _Lessons(traces.wants)
    provider.add_span_processor(traces)
    return provider, traces


def _samples(sampler: Sampler, trace_id: int) -> bool:
    """Ask as if for the trace's first span: the others of it follow."""
    return sampler.should_sample(Context(), trace_id, LESSON).decision is Decision.RECORD_AND_SAMPLE


def _resource() -> Resource:
    given = Resource.create()
    unnamed = str(given.attributes[SERVICE_NAME]).startswith("unknown_service")
    return given.merge(Resource({SERVICE_NAME: "loqua-host"})) if unnamed else given


class _Lessons(Sampler):
    """Begins a trace with a lesson only: polls of the ledger and the like belong to none.

    Whether a lesson is sampled shows later, when a job turns out to be for it.
    """

    def __init__(self, wants: Callable[[int], bool]) -> None:
        self._wants = wants

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        *_: Any,
        **__: Any,
    ) -> SamplingResult:
        """Sample a lesson's first span, and what is below one."""
        del kind
        above = trace.get_current_span(parent_context).get_span_context()
        if above.is_valid:
            wanted = above.trace_flags.sampled and self._wants(trace_id)
        else:
            wanted = name == LESSON
        return SamplingResult(Decision.RECORD_AND_SAMPLE if wanted else Decision.DROP, attributes)

    def get_description(self) -> str:
        """Say what is sampled."""
        return "lessons"


class _Scrubbing(SpanExporter):
    """Hides tokens wherever in a span they are, as the last step; the log does the same."""

    def __init__(self, onward: SpanExporter) -> None:
        self._onward = onward

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans, in the exporter's own thread."""
        return self._onward.export([_scrubbed(span) for span in spans])

    def shutdown(self) -> None:
        """Export nothing more."""
        self._onward.shutdown()


def _scrubbed(span: ReadableSpan) -> ReadableSpan:
    events = [Event(one.name, _clean(one.attributes), one.timestamp) for one in span.events]
    return ReadableSpan(
        span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=_clean(span.attributes),
        events=events,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _clean(attributes: Attributes) -> dict[str, AttributeValue]:
    return {
        key: hide_tokens(value) if isinstance(value, str) else value
        for key, value in (attributes or {}).items()
    }


def _plain(fields: Mapping[str, object]) -> dict[str, AttributeValue]:
    return {
        key: value for key, value in fields.items() if isinstance(value, str | bool | int | float)
    }
