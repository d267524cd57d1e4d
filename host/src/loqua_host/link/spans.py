"""Spans of a job, as data: what a trace shows of it, bounded, without what was said.

They carry no trace's id: which lesson a job teaches is the host's to say.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import INVALID_SPAN_CONTEXT, StatusCode
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MOST_SPANS", "SpanEventTold", "SpanTold", "tell_span"]

MOST_SPANS = 64
"""Spans in one message."""

NAMING = frozenset(
    {
        *("hook", "tutor", "endpoint"),
        *("error.type", "exception.type", "gen_ai.operation.name", "gen_ai.provider.name"),
        *("gen_ai.request.model", "gen_ai.response.model", "gen_ai.response.finish_reasons"),
        *("gen_ai.output.type", "gen_ai.token.type", "lk.agent_label", "lk.agent_name"),
        *("lk.close_reason", "lk.connection_state", "lk.disconnect_reason", "lk.dispatch_id"),
        *("lk.eou.language", "lk.eou.outcome", "lk.eou.source", "lk.function_tool.id"),
        *("lk.generation_id", "lk.job.worker_id", "lk.job_id", "lk.new_state", "lk.old_state"),
        *("lk.parent_generation_id", "lk.participant_id", "lk.participant_kind"),
        *("lk.provider_request_ids", "lk.room_sid", "lk.speech_id", "lk.track_sid"),
        *("lk.track_source", "lk.tts.label"),
    }
)
"""Attributes whose text is told: names that somebody configured, or a library made up.

Of all others, LiveKit's and a tutor's own, only numbers are: LiveKit marks most of what is said by
`lk.pii.`, but `lk.keyterms.added` are words, too (livekit-agents 1.8.9).
"""

LONGEST_NAME = 128
LONGEST_KEY = 64
LONGEST_TEXT = 512
MOST_ATTRIBUTES = 32
MOST_EVENTS = 16

_FROZEN = ConfigDict(frozen=True, extra="forbid")
_INT64 = 2**63 - 1

Name = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
SpanId = Annotated[int, Field(gt=0, lt=2**64)]
Nanoseconds = Annotated[int, Field(ge=0, le=_INT64)]
"""Unix time, as OpenTelemetry counts it."""

Value = (
    bool
    | Annotated[int, Field(ge=-_INT64, le=_INT64)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[str, Field(max_length=LONGEST_TEXT)]
)
Attributes = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=LONGEST_KEY)], Value],
    Field(max_length=MOST_ATTRIBUTES),
]


class SpanEventTold(BaseModel):
    """A moment in a span."""

    model_config = _FROZEN

    name: Name
    at: Nanoseconds
    attributes: Attributes = Field(default_factory=dict)


class SpanTold(BaseModel):
    """A span that has ended; without a parent it is right below what the host did for its job."""

    model_config = _FROZEN

    name: Name
    scope: Name
    id: SpanId
    parent: SpanId | None = None
    begun: Nanoseconds
    ended: Nanoseconds
    failed: bool = False
    attributes: Attributes = Field(default_factory=dict)
    events: Annotated[tuple[SpanEventTold, ...], Field(max_length=MOST_EVENTS)] = ()


def tell_span(span: ReadableSpan) -> SpanTold:
    """Give a span of this process as the host takes it: bounded, and without what was said."""
    begun = span.start_time or 0
    return SpanTold(
        name=span.name[:LONGEST_NAME] or "-",
        scope=(span.instrumentation_scope.name if span.instrumentation_scope else "")[:LONGEST_NAME]
        or "-",
        id=(span.context or INVALID_SPAN_CONTEXT).span_id,
        parent=span.parent.span_id if span.parent else None,
        begun=begun,
        ended=span.end_time or begun,
        failed=span.status.status_code is StatusCode.ERROR,
        attributes=_bounded(span.attributes),
        events=tuple(
            SpanEventTold(
                name=event.name[:LONGEST_NAME] or "-",
                at=event.timestamp,
                attributes=_bounded(event.attributes),
            )
            for event in span.events[:MOST_EVENTS]
        ),
    )


def _bounded(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    kept = [(key, value) for key, value in (attributes or {}).items() if _may_be_told(key, value)]
    return {key: _plain(value) for key, value in kept[:MOST_ATTRIBUTES]}


def _may_be_told(key: str, value: object) -> bool:
    measured = isinstance(value, bool | int | float) and "pii" not in key.split(".")
    return key in NAMING or (measured and 0 < len(key) <= LONGEST_KEY)


def _plain(value: Any) -> bool | int | float | str:
    match value:
        case bool():
            return value
        case int() if abs(value) <= _INT64:
            return value
        case float() if math.isfinite(value):
            return value
        case tuple():
            return ", ".join(str(one) for one in value)[:LONGEST_TEXT]
    return str(value)[:LONGEST_TEXT]
