"""The trace of a lesson's job, saved in the lesson's state for its later deliveries."""

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
"""The key in a lesson's state with the W3C `traceparent` of its job's span."""

_PROPAGATOR: Final = TraceContextTextMapPropagator()


def current_trace() -> dict[str, JsonValue]:
    """Return the current span for a lesson's state; empty if it is not recorded."""
    carrier: dict[str, str] = {}
    if trace.get_current_span().is_recording():
        _PROPAGATOR.inject(carrier)
    return {TRACE: carrier["traceparent"]} if carrier else {}


def in_trace(state: Mapping[str, JsonValue]) -> Context:
    """Return the context of the trace in a lesson's state."""
    return _PROPAGATOR.extract({"traceparent": str(state.get(TRACE, ""))})


def join_trace(row: LessonRow, before: LessonRow) -> LessonRow:
    """Set the lesson's ids on the current span, and link it to the previous job's span.

    Args:
        row: The lesson, which is returned with the current trace in its state.
        before: The lesson as last known; the same one if it is new.
    """
    span, own = trace.get_current_span(), current_trace()
    span.set_attributes(row.bound)
    last = trace.get_current_span(in_trace(before.state)).get_span_context()
    if last.is_valid and last.span_id != span.get_span_context().span_id:
        span.add_link(last)
    return replace(row, state={**row.state, **own})
