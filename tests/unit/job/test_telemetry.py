"""Metrics and spans that a job sends to the host."""

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from loqua_host.link.messages import HookTimed, Spans, VoiceTimed

SPOKE = VoiceTimed(stages={"reply": 1.0})


async def test_notes_go_together_every_second_and_in_order(job: Any) -> None:
    """The measured code does not wait for the message."""
    sending = asyncio.create_task(job.telemetry.send())
    job.telemetry.queue(SPOKE)
    job.telemetry.time_hook("create_agent", 0.5, failed=False)
    await asyncio.sleep(0.5)
    assert job.link.sent == []
    await asyncio.sleep(1)
    created = HookTimed(hook="create_agent", after=0, seconds=0.5, failed=False)
    assert job.link.sent == [SPOKE, created]
    sending.cancel()


async def test_a_hook_is_reported_with_when_it_began(job: Any) -> None:
    """The learner's waiting time ends at the tutor's first hook."""
    await asyncio.sleep(3)
    job.telemetry.time_hook("on_user_ready", 2.0, failed=False)
    await job.telemetry.flush()
    [message] = job.link.sent
    assert (message.after, message.seconds) == (pytest.approx(1.0), 2.0)


async def test_spans_go_after_the_rest_and_once(job: Any) -> None:
    """They are separate messages."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(job.spans)
    provider.get_tracer("test").start_span("turn").end()
    job.telemetry.queue(SPOKE)
    await job.telemetry.flush()
    await job.telemetry.flush()
    voice, spans = job.link.sent
    assert voice == SPOKE
    assert isinstance(spans, Spans)
    assert [span.name for span in spans.spans] == ["turn"]


async def test_a_hook_that_never_ended_is_reported_as_long_as_may_be(job: Any) -> None:
    """A machine that slept is no reason to refuse the message."""
    job.telemetry.time_hook("on_session_end", 1e6, failed=True)
    await job.telemetry.flush()
    ended = HookTimed(hook="on_session_end", after=0, seconds=600, failed=True)
    assert job.link.sent == [ended]


async def test_a_host_that_is_gone_is_for_others_to_notice(job: Any) -> None:
    """The lesson does not end over a measurement."""
    job.link.lose()
    job.telemetry.queue(SPOKE)
    await job.telemetry.flush()
    assert job.link.sent == []


async def test_the_host_has_all_notes_before_the_lesson_s_end(job: Any) -> None:
    """It reads no further."""
    running = job.start()
    await asyncio.sleep(1)
    job.telemetry.queue(SPOKE)
    job.lesson.end("done")
    await running
    assert job.link.sent.index(SPOKE) < job.link.sent.index(job.finish)
