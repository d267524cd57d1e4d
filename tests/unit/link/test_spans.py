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
    span: Any = TRACER.start_span("tts_node", attributes={"ids": ["a", "b"]})
    assert tell_span(span).attributes == {"ids": "a, b"}


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
