"""What the host is told of how long replies took."""

import asyncio
from types import SimpleNamespace
from typing import Any

from livekit.agents.llm import ChatMessage
from livekit.agents.llm.chat_context import MetricsReport

from loqua_host.errors import LinkError
from loqua_host.job.latency import MEASURED, tell_latency
from loqua_host.link.messages import VoiceTimed


async def told(job: Any, *items: object) -> list[VoiceTimed]:
    """Have things said in a session, and give what the host hears of them."""
    task = asyncio.create_task(tell_latency(job.session, job.link))
    await asyncio.sleep(0)
    for item in items:
        job.session.emit("conversation_item_added", SimpleNamespace(item=item))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    return [message for message in job.link.sent if isinstance(message, VoiceTimed)]


def said(**metrics: object) -> ChatMessage:
    """Give something said, with what LiveKit measured."""
    return ChatMessage(role="assistant", content=["Hola."], metrics=metrics)  # type: ignore[arg-type]  # a TypedDict


async def test_each_reply_is_told_by_its_stages(job: Any) -> None:
    """In our words, and nothing of what was said."""
    heard = said(transcription_delay=0.2, end_of_turn_delay=0.7, stopped_speaking_at=1.0)
    replied = said(llm_node_ttft=0.3, tts_node_ttfb=0.1, e2e_latency=1.4)
    assert [message.stages for message in await told(job, heard, replied)] == [
        {"hearing": 0.2, "turn": 0.7},
        {"thinking": 0.3, "speaking": 0.1, "reply": 1.4},
    ]


async def test_what_was_not_measured_is_not_told(job: Any) -> None:
    """A greeting answers nobody, and a hand-over is nothing said."""
    assert await told(job, said(), SimpleNamespace(type="agent_handoff")) == []


async def test_a_measure_that_cannot_be_is_bounded(job: Any) -> None:
    """The clock of a machine may step."""
    odd = said(e2e_latency=-0.5, llm_node_ttft=1e9)
    assert [message.stages for message in await told(job, odd)] == [{"thinking": 60, "reply": 0}]


async def test_a_host_that_is_gone_is_for_others_to_notice(job: Any) -> None:
    """The lesson does not end over a measurement."""

    async def send(_message: object) -> None:
        raise LinkError("the host is gone")

    job.link.send = send
    assert await told(job, said(e2e_latency=1.0), said(e2e_latency=1.0)) == []


def test_livekit_measures_what_is_looked_for() -> None:
    """Its names are its own to change."""
    assert set(MEASURED) <= set(MetricsReport.__annotations__)
