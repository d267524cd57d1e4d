"""Spans as data: what a job tells is in bounds, and nothing else is taken."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.trace import SpanContext
from pydantic import ValidationError

from loqua_host.link.messages import FROM_JOB, Spans
from loqua_host.link.spans import LONGEST_TEXT, MOST_ATTRIBUTES, MOST_SPANS, SpanTold, tell_span

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("test")
SPAN: dict[str, Any] = {"name": "turn", "scope": "test", "id": 1, "begun": 5, "ended": 7}

VALUES = st.text() | st.booleans() | st.integers() | st.floats() | st.lists(st.text() | st.none())


@given(name=st.text(), attributes=st.dictionaries(st.text(), VALUES, max_size=60))
def test_whatever_a_span_has_is_told_in_bounds(name: str, attributes: dict[str, Any]) -> None:
    """What is too long is cut, what is too much is left out."""
    told = tell_span(
        ReadableSpan(
            name,
            context=SpanContext(1, 2, is_remote=False),
            attributes=attributes,
            events=[Event(name, {"text": name * 1000}, 3)],
            start_time=1,
        )
    )
    sent = Spans(spans=(told,)).model_dump_json()
    assert FROM_JOB.validate_json(sent) == Spans(spans=(told,))
    assert len(told.attributes) <= MOST_ATTRIBUTES


def test_a_list_is_told_as_text() -> None:
    """Such as the ids that a provider gave its requests."""
    ids = {"lk.provider_request_ids": ["a", "b"]}
    span: Any = TRACER.start_span("tts_node", attributes=ids)
    assert tell_span(span).attributes == {"lk.provider_request_ids": "a, b"}


def test_of_what_is_said_nothing_is_told() -> None:
    """Neither what LiveKit marks nor what it forgot to mark, nor what a tutor notes."""
    said = "zebra quokka 4711"
    notes = {"lk.pii.user_input": said, "lk.keyterms.added": [said], "word": said, "lk.pii.n": 4711}
    told = notes | {"lk.response.ttft": 0.2, "gen_ai.request.model": "base", "final": True}
    span: Any = TRACER.start_span("llm_node", attributes=told)
    span.add_event("heard", notes)
    span.record_exception(ValueError(said))
    sent = tell_span(span)
    assert "quokka" not in sent.model_dump_json()
    assert "4711" not in sent.model_dump_json()
    assert sent.attributes == {k: v for k, v in told.items() if k not in notes}
    assert sent.events[1].attributes == {"exception.type": "ValueError"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "n" * 129},
        {"id": 0},
        {"id": 2**64},
        {"parent": -1},
        {"begun": -1},
        {"ended": 2**63},
        {"trace": 1},
        {"attributes": {"key": "x" * (LONGEST_TEXT + 1)}},
        {"attributes": {"key": float("nan")}},
        {"attributes": {"key": ["a"]}},
        {"attributes": {str(number): 1 for number in range(MOST_ATTRIBUTES + 1)}},
        {"events": [{"name": "e", "at": 1}] * 17},
    ],
    ids=str,
)
def test_a_span_out_of_bounds_is_refused(wrong: dict[str, Any]) -> None:
    """So is one that names a trace."""
    SpanTold.model_validate(SPAN)
    with pytest.raises(ValidationError):
        SpanTold.model_validate(SPAN | wrong)


def test_too_many_spans_at_once_are_refused() -> None:
    """They can go one after the other."""
    span = SpanTold.model_validate(SPAN)
    with pytest.raises(ValidationError):
        Spans(spans=(span,) * (MOST_SPANS + 1))
