"""Spans of a job, as data.

They carry no trace id: the host assigns them to a trace. OpenTelemetry's limits bound their size,
and `without_speech` removes what learners said.
"""

from typing import Annotated, Final

from opentelemetry.util.types import Attributes, AttributeValue
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MAX_SPANS", "JobSpan", "JobSpanEvent", "without_speech"]

MAX_SPANS = 64
"""Spans in one message."""

NAMES: Final = frozenset(
    {
        *("agent_id", "endpoint", "hook", "job_id", "outcome", "room", "session_id", "tutor"),
        *("user_id", "error.type", "exception.type", "gen_ai.operation.name"),
        *("gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model"),
        *("gen_ai.response.finish_reasons", "gen_ai.output.type", "gen_ai.token.type"),
        *("lk.agent_label", "lk.agent_name", "lk.close_reason", "lk.connection_state"),
        *("lk.disconnect_reason", "lk.dispatch_id", "lk.eou.language", "lk.eou.outcome"),
        *("lk.eou.source", "lk.function_tool.id", "lk.generation_id", "lk.job.worker_id"),
        *("lk.job_id", "lk.new_state", "lk.old_state", "lk.parent_generation_id"),
        *("lk.participant_id", "lk.participant_kind", "lk.provider_request_ids", "lk.room_sid"),
        *("lk.speech_id", "lk.track_sid", "lk.track_source", "lk.tts.label"),
    }
)
"""Attributes whose text is exported: names that somebody configured, or a library made up.

Of all others, LiveKit's and a tutor's own, only numbers are: LiveKit marks most of what is said by
`lk.pii.`, but `lk.keyterms.added` are words, too (livekit-agents 1.8.9).
"""


_FROZEN = ConfigDict(frozen=True, extra="forbid")
_INT64 = 2**63 - 1

SpanId = Annotated[int, Field(gt=0, lt=2**64)]
Nanoseconds = Annotated[int, Field(ge=0, le=_INT64)]
"""Unix time, as OpenTelemetry counts it."""

Value = (
    bool
    | Annotated[int, Field(ge=-_INT64, le=_INT64)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | str
)
"""What OTLP can carry: one value that it cannot would cost all lessons their spans."""


class JobSpanEvent(BaseModel):
    """A moment in a span."""

    model_config = _FROZEN

    name: str
    at: Nanoseconds
    attributes: dict[str, Value] = Field(default_factory=dict)


class JobSpan(BaseModel):
    """A span that has ended; without a parent it is right below what the host did for its job."""

    model_config = _FROZEN

    name: str
    scope: str
    id: SpanId
    parent: SpanId | None = None
    started_at: Nanoseconds
    ended_at: Nanoseconds
    failed: bool = False
    attributes: dict[str, Value] = Field(default_factory=dict)
    events: tuple[JobSpanEvent, ...] = ()


def without_speech(attributes: Attributes) -> dict[str, AttributeValue]:
    """Return those attributes that cannot be what somebody said: numbers, and names."""
    return {
        key: value
        for key, value in (attributes or {}).items()
        if key in NAMES or (isinstance(value, bool | int | float) and "pii" not in key.split("."))
    }
