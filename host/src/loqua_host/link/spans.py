"""Spans of a job, as data.

They carry no trace id: the host assigns them to a trace. Their attributes are `exportable`, both
where a job makes them and where the host reads them.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["LONGEST_TEXT", "MAX_SPANS", "JobSpan", "JobSpanEvent", "exportable"]

MAX_SPANS = 64
"""Spans in one message."""

LONGEST_TEXT: Final = 512
"""Characters of an attribute's text."""

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


def exportable(attributes: Mapping[str, Any] | None) -> dict[str, bool | float | str]:
    """Return the attributes that nobody can have said: names, and numbers that OTLP can carry.

    One value that OTLP cannot carry would cost all lessons of a batch their spans.
    """
    return {
        key: value if isinstance(value, int | float) else _text(value)
        for key, value in (attributes or {}).items()
        if (
            abs(value) < 2**63 and "pii" not in key.split(".")  # false for NaN
            if isinstance(value, int | float)
            else key in NAMES
        )
    }


def _text(value: Any) -> str:
    many = value if isinstance(value, list | tuple) else [value]
    return ", ".join(map(str, many))[:LONGEST_TEXT]


_FROZEN = ConfigDict(frozen=True, extra="forbid")

SpanId = Annotated[int, Field(gt=0, lt=2**64)]
Nanoseconds = Annotated[int, Field(ge=0, lt=2**63)]
"""Unix time, as OpenTelemetry counts it."""

Attributes = Annotated[dict[str, Any], AfterValidator(exportable)]


class JobSpanEvent(BaseModel):
    """A moment in a span."""

    model_config = _FROZEN

    name: str
    at: Nanoseconds
    attributes: Attributes = Field(default_factory=dict)


class JobSpan(BaseModel):
    """A span that has ended; without a parent, it belongs under the host's span of its job."""

    model_config = _FROZEN

    name: str
    scope: str
    id: SpanId
    parent: SpanId | None = None
    started_at: Nanoseconds
    ended_at: Nanoseconds
    failed: bool = False
    attributes: Attributes = Field(default_factory=dict)
    events: tuple[JobSpanEvent, ...] = ()
