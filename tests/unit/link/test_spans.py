"""Spans as data: what a job tells can be exported, and nothing else is taken."""

from typing import Any

import pytest
from pydantic import ValidationError

from loqua_host.link.messages import Spans
from loqua_host.link.spans import MAX_SPANS, JobSpan, without_speech

SPAN: dict[str, Any] = {
    "name": "turn",
    "scope": "test",
    "id": 1,
    "started_at": 5,
    "ended_at": 7,
}


def test_of_what_is_said_nothing_is_left() -> None:
    """Neither what LiveKit marks nor what it forgot to mark, nor what a tutor notes."""
    said = "zebra quokka"
    notes = {"lk.pii.user_input": said, "lk.keyterms.added": [said], "word": said, "lk.pii.n": 4711}
    named = {"lk.response.ttft": 0.2, "gen_ai.request.model": "base", "final": True}
    assert without_speech({**notes, **named}) == named
    assert without_speech(None) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": 0},
        {"id": 2**64},
        {"parent": -1},
        {"started_at": -1},
        {"ended_at": 2**63},
        {"trace": 1},
        {"attributes": {"key": float("nan")}},
        {"attributes": {"key": 10**400}},
        {"attributes": {"key": ["a"]}},
        {"events": [{"name": "e", "at": -1}]},
    ],
    ids=lambda wrong: str(wrong)[:40],
)
def test_a_span_that_otlp_could_not_carry_is_refused(wrong: dict[str, Any]) -> None:
    """It would cost all others of its batch; so is one that names a trace."""
    JobSpan.model_validate(SPAN)
    with pytest.raises(ValidationError):
        JobSpan.model_validate(SPAN | wrong)


def test_too_many_spans_at_once_are_refused() -> None:
    """They can go one after the other."""
    span = JobSpan.model_validate(SPAN)
    with pytest.raises(ValidationError):
        Spans(spans=(span,) * (MAX_SPANS + 1))
