"""A job's spans, as the host receives them."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from livekit.agents import telemetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer, set_span_in_context

from loqua_host.job.tracing import JOB, LIMITS, SpanBuffer
from loqua_host.link.messages import FROM_JOB, Spans
from loqua_host.link.spans import LONGEST_TEXT, MAX_SPANS, JobSpan


@pytest.fixture
def spans() -> SpanBuffer:
    """Return a buffer that nothing has ended in."""
    return SpanBuffer()


@pytest.fixture
def tracer(spans: SpanBuffer) -> Tracer:
    """Return what begins spans that end there."""
    provider = TracerProvider(shutdown_on_exit=False, span_limits=LIMITS)
    telemetry.set_tracer_provider(provider, allow_pii=False)
    provider.add_span_processor(spans)
    return provider.get_tracer("test")


def take_spans(spans: SpanBuffer) -> list[JobSpan]:
    """Return all spans to send now."""
    return [span for message in spans.drain() for span in message.spans]


def test_a_span_keeps_its_parent(spans: SpanBuffer, tracer: Tracer) -> None:
    """Whichever of them ends first."""
    with tracer.start_as_current_span("session"), tracer.start_as_current_span("turn"):
        pass
    turn, session = take_spans(spans)
    assert (turn.name, session.name) == ("turn", "session")
    assert (turn.parent, session.parent) == (session.id, None)
    assert session.started_at <= turn.started_at <= turn.ended_at <= session.ended_at


def test_what_is_below_livekit_s_own_span_of_the_job_is_below_the_host_s(
    spans: SpanBuffer, tracer: Tracer
) -> None:
    """LiveKit's ends after the link, so it is never sent."""
    job = tracer.start_span(JOB)
    tracer.start_span("room_connect", set_span_in_context(job)).end()
    [connect] = take_spans(spans)
    assert (connect.name, connect.parent) == ("room_connect", None)


VALUES = st.text() | st.booleans() | st.integers() | st.floats() | st.lists(st.text() | st.none())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(), attributes=st.dictionaries(st.text(), VALUES, max_size=60))
def test_whatever_a_span_has_the_host_takes_it(
    spans: SpanBuffer, tracer: Tracer, name: str, attributes: dict[str, Any]
) -> None:
    """OpenTelemetry's own limits cut long values and drop surplus ones."""
    named = {"lk.speech_id": name, "lk.provider_request_ids": [name, name]}
    span = tracer.start_span(name, attributes={**attributes, **named})
    span.add_event(name, {**attributes, **named})
    span.end()
    [message] = spans.drain()
    assert isinstance(message, Spans)
    assert FROM_JOB.validate_json(message.model_dump_json()) == message
    [sent] = message.spans
    assert len(sent.attributes) <= 32
    assert sent.attributes["lk.speech_id"] == name[:LONGEST_TEXT]
    assert sent.attributes["lk.provider_request_ids"] == f"{name}, {name}"[:LONGEST_TEXT]


def test_of_a_lesson_that_is_not_sampled_nothing_is_kept(spans: SpanBuffer, tracer: Tracer) -> None:
    """Earlier and later spans are dropped; LiveKit creates none."""
    livekit = telemetry.tracer
    with livekit.start_as_current_span(JOB):
        livekit.start_span("room_connect").end()
        spans.discard()
        tracer.start_span("hook create_agent").end()
        assert not livekit.start_span("agent_session").is_recording()
    assert take_spans(spans) == []


def test_what_was_said_stays_in_the_job(spans: SpanBuffer, tracer: Tracer) -> None:
    """LiveKit marks it, and what a model was given and answered."""
    with tracer.start_as_current_span("llm_node") as span:
        span.set_attributes(
            {
                "lk.pii.user_transcript": "Me llamo María.",
                "gen_ai.input.messages": "Me llamo María.",
                "lk.response.ttft": 0.2,
            }
        )
        span.add_event("gen_ai.user.message", {"content": "Me llamo María."})
    [node] = take_spans(spans)
    assert node.attributes == {"lk.response.ttft": 0.2}
    assert "María" not in node.model_dump_json()


def test_many_spans_go_in_several_messages(spans: SpanBuffer, tracer: Tracer) -> None:
    """Each within the bound that the host sets."""
    for _ in range(MAX_SPANS + 1):
        tracer.start_span("turn").end()
    assert [len(message.spans) for message in spans.drain()] == [MAX_SPANS, 1]
