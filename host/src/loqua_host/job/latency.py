"""How long a learner waits for what the tutor says, as LiveKit's session measures it."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any, Final

from livekit.agents import AgentSession, ConversationItemAddedEvent
from livekit.agents.llm import ChatMessage

from loqua_host.errors import LinkError
from loqua_host.link.client import HostLink
from loqua_host.link.messages import LONGEST_STAGE, Stage, VoiceTimed

__all__ = ["tell_latency"]

MEASURED: Final[Mapping[str, Stage]] = {
    "transcription_delay": "hearing",
    "end_of_turn_delay": "turn",
    "llm_node_ttft": "thinking",
    "tts_node_ttfb": "speaking",
    "e2e_latency": "reply",
}
"""LiveKit's names (livekit-agents 1.8.9, llm/chat_context.py, MetricsReport) and ours."""


async def tell_latency(session: "AgentSession[None]", link: HostLink) -> None:
    """Tell the host what each thing said took, until cancelled."""
    measured: asyncio.Queue[VoiceTimed] = asyncio.Queue()

    def on_item(event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, ChatMessage) and (stages := _stages(event.item.metrics)):
            measured.put_nowait(VoiceTimed(stages=stages))

    session.on("conversation_item_added", on_item)
    try:
        while True:
            message = await measured.get()
            with contextlib.suppress(LinkError):
                await link.send(message)
    finally:
        session.off("conversation_item_added", on_item)


def _stages(metrics: Mapping[str, Any]) -> dict[Stage, float]:
    return {
        stage: min(max(float(metrics[name]), 0.0), LONGEST_STAGE)
        for name, stage in MEASURED.items()
        if metrics.get(name) is not None
    }
