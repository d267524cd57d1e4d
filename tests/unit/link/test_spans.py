"""Spans as data: exportable, and without learners' words."""

from typing import Any

import pytest
from pydantic import ValidationError

from loqua_host.link.messages import Spans
from loqua_host.link.spans import LONGEST_TEXT, MAX_SPANS, JobSpan, exportable

SPAN: dict[str, Any] = {
    "name": "turn",
    "scope": "test",
    "id": 1,
    "started_at": 5,
    "ended_at": 7,
}


def test_text_is_not_exported_unless_it_is_a_name() -> None:
    """LiveKit marks most of what is said, but not all; a tutor's own attributes may be anything."""
    said = "zebra quokka"
    notes = {"lk.pii.user_input": said, "lk.keyterms.added": [said], "word": said, "lk.pii.n": 4711}
    named = {"lk.response.ttft": 0.2, "gen_ai.request.model": "base", "final": True}
    assert exportable({**notes, **named}) == named
    assert exportable(None) == {}


@pytest.mark.parametrize(
    ("value", "exported"),
    [
        (["a", "b"], "a, b"),
        ("a" * 1000, "a" * LONGEST_TEXT),
        ({"a": 1}, "{'a': 1}"),
        (7, 7),
    ],
    ids=["list", "long", "object", "number"],
)
def test_the_value_of_a_name_is_text_or_a_number(value: object, exported: object) -> None:
    """OTLP has no lists of mixed values."""
    span = JobSpan.model_validate(SPAN | {"attributes": {"lk.speech_id": value}})
    assert span.attributes == {"lk.speech_id": exported}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, 2**63, -(2**63)])
def test_a_number_that_otlp_could_not_carry_is_left_out(value: float) -> None:
    """It would cost all others of its batch."""
    span = JobSpan.model_validate(SPAN | {"attributes": {"n": value, "m": 1}})
    assert span.attributes == {"m": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 0},
        {"id": 2**64},
        {"parent": -1},
        {"started_at": -1},
        {"ended_at": 2**63},
        {"trace": 1},
        {"attributes": ["a"]},
        {"events": [{"name": "e", "at": -1}]},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_span_that_otlp_could_not_carry_is_refused(wrong: dict[str, Any]) -> None:
    """It would cost all others of its batch. A span that names a trace is refused, too."""
    JobSpan.model_validate(SPAN)
    with pytest.raises(ValidationError):
        JobSpan.model_validate(SPAN | wrong)


def test_too_many_spans_at_once_are_refused() -> None:
    """A job sends them in several messages."""
    span = JobSpan.model_validate(SPAN)
    with pytest.raises(ValidationError):
        Spans(spans=(span,) * (MAX_SPANS + 1))
