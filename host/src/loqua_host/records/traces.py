"""How a lesson remembers the trace of the job that teaches it, for what is done for it later."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import JsonValue

from .rows import LessonRow

__all__ = ["TRACE", "current_trace", "in_trace", "join_trace"]

TRACE: Final = "loqua.trace"
"""Where a lesson's state has the W3C `traceparent` of its job's span."""

_PROPAGATOR: Final = TraceContextTextMapPropagator()


def current_trace() -> dict[str, JsonValue]:
    """Return what a lesson's state keeps of the current span; nothing where none is recorded."""
    carrier: dict[str, str] = {}
    if trace.get_current_span().is_recording():
        _PROPAGATOR.inject(carrier)
    return {TRACE: carrier["traceparent"]} if carrier else {}


def in_trace(state: Mapping[str, JsonValue]) -> Context:
    """Return the context in which spans belong to the trace that a lesson's state keeps."""
    return _PROPAGATOR.extract({"traceparent": str(state.get(TRACE, ""))})


def join_trace(row: LessonRow, before: LessonRow) -> LessonRow:
    """Return in the current span which lesson its job teaches, and link the job that did before.

    Args:
        row: The lesson, which is returned as one that remembers the trace.
        before: The lesson as it was last known, itself if it is new.
    """
    span, own = trace.get_current_span(), current_trace()
    span.set_attributes(row.bound)
    last = trace.get_current_span(in_trace(before.state)).get_span_context()
    if last.is_valid and last.span_id != span.get_span_context().span_id:
        span.add_link(last)
    return replace(row, state={**row.state, **own})
