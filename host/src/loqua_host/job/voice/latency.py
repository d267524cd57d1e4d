"""Voice latency, as LiveKit's session measures it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import ChatMessage

from loqua_host.link.messages import LONGEST_STAGE, Stage, VoiceTimed

__all__ = ["measured"]

MEASURED: Final[Mapping[str, Stage]] = {
    "transcription_delay": "hearing",
    "end_of_turn_delay": "turn",
    "llm_node_ttft": "thinking",
    "tts_node_ttfb": "speaking",
}
"""LiveKit's metrics (livekit-agents 1.8.9, llm/chat_context.py, MetricsReport) by stage."""


@contextmanager
def measured(session: "AgentSession[None]", report: Callable[[VoiceTimed], None]) -> Iterator[None]:
    """Report the latency of replies and their stages for the duration of a block."""
    listener = _Listener(report)
    session.on("user_state_changed", listener.on_user)
    session.on("agent_state_changed", listener.on_agent)
    session.on("conversation_item_added", listener.on_item)
    try:
        yield
    finally:
        session.off("user_state_changed", listener.on_user)
        session.off("agent_state_changed", listener.on_agent)
        session.off("conversation_item_added", listener.on_item)


class _Listener:
    """Measure replies from the speakers' states: LiveKit times only those of a tutor with an LLM.

    LiveKit's end of a learner's words lies before the silence from which it was detected.
    """

    def __init__(self, report: Callable[[VoiceTimed], None]) -> None:
        self._report = report
        self._last_word: float | None = None

    def on_user(self, event: UserStateChangedEvent) -> None:
        self._last_word = event.created_at if event.old_state == "speaking" else None

    def on_agent(self, event: AgentStateChangedEvent) -> None:
        if event.new_state == "speaking" and self._last_word is not None:
            took, self._last_word = event.created_at - self._last_word, None
            # A sound after a longer time is no reply.
            if 0 <= took <= LONGEST_STAGE:
                self._report(VoiceTimed(stages={"reply": took}))

    def on_item(self, event: ConversationItemAddedEvent) -> None:
        if isinstance(event.item, ChatMessage) and (stages := _stages(event.item.metrics)):
            self._report(VoiceTimed(stages=stages))


def _stages(metrics: Mapping[str, Any]) -> dict[Stage, float]:
    return {
        stage: min(max(float(metrics[name]), 0.0), LONGEST_STAGE)
        for name, stage in MEASURED.items()
        if metrics.get(name) is not None
    }
