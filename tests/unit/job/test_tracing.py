"""The spans of a job, as the host is told of them."""

import pytest
from livekit.agents import telemetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer, set_span_in_context

from loqua_host.job.tracing import DISPATCH, JOB, SpanBuffer
from loqua_host.link.spans import MOST_SPANS, SpanTold


@pytest.fixture
def spans() -> SpanBuffer:
    """Give a buffer that nothing has ended in."""
    return SpanBuffer()


@pytest.fixture
def tracer(spans: SpanBuffer) -> Tracer:
    """Give what begins spans that end there."""
    provider = TracerProvider(shutdown_on_exit=False)
    telemetry.set_tracer_provider(provider, allow_pii=False)
    provider.add_span_processor(spans)
    return provider.get_tracer("test")


def told(spans: SpanBuffer) -> list[SpanTold]:
    """Give all that is to be told now."""
    return [span for message in spans.drain() for span in message.spans]


def test_a_span_keeps_its_parent(spans: SpanBuffer, tracer: Tracer) -> None:
    """Whichever of them ends first."""
    with tracer.start_as_current_span("session"), tracer.start_as_current_span("turn"):
        pass
    turn, session = told(spans)
    assert (turn.name, session.name) == ("turn", "session")
    assert (turn.parent, session.parent) == (session.id, None)
    assert session.begun <= turn.begun <= turn.ended <= session.ended


def test_the_job_s_own_span_is_told_as_far_as_the_dispatch(
    spans: SpanBuffer, tracer: Tracer
) -> None:
    """It ends after the link, so what is below it is told to be below the host's."""
    job = tracer.start_span(JOB, start_time=1_000, attributes={"lk.pii.room_name": "r", "n": 1})
    job.add_event("entrypoint_started", timestamp=3_000)
    tracer.start_span("room_connect", set_span_in_context(job)).end()
    connect, dispatch = told(spans)
    assert (connect.name, connect.parent) == ("room_connect", None)
    assert (dispatch.name, dispatch.begun, dispatch.ended) == (DISPATCH, 1_000, 3_000)
    assert dispatch.attributes == {"n": 1}
    assert told(spans) == []


def test_of_a_lesson_that_is_not_sampled_nothing_is_kept(spans: SpanBuffer, tracer: Tracer) -> None:
    """Neither what there was, nor what comes; LiveKit makes none at all."""
    livekit = telemetry.tracer
    with livekit.start_as_current_span(JOB):
        livekit.start_span("room_connect").end()
        spans.forget()
        tracer.start_span("hook create_agent").end()
        assert not livekit.start_span("agent_session").is_recording()
    assert told(spans) == []


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
    [node] = told(spans)
    assert node.attributes == {"lk.response.ttft": 0.2}
    assert "María" not in node.model_dump_json()


def test_many_spans_go_in_several_messages(spans: SpanBuffer, tracer: Tracer) -> None:
    """Each within the bound that the host sets."""
    for _ in range(MOST_SPANS + 1):
        tracer.start_span("turn").end()
    assert [len(message.spans) for message in spans.drain()] == [MOST_SPANS, 1]
