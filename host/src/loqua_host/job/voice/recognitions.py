"""Data of speech recognition about a turn besides its text."""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any

from livekit.agents import Agent
from livekit.agents.llm import ChatContext, ChatMessage
from livekit.agents.stt import SpeechData, SpeechEvent, SpeechEventType
from livekit.agents.utils import is_given

from loqua_host.contract.turns import RECOGNITION_KEY, Recognition, RecognizedWord

from .nodes import replace, through

__all__ = ["Recognitions"]

_KEPT = 20
"""Maximum transcripts stored until a turn is complete."""


class Recognitions:
    """Mark each turn with the recogniser's words, confidence and language.

    LiveKit keeps no more than a mean confidence in the message of a turn.
    """

    def __init__(self) -> None:
        self._finals: deque[SpeechData] = deque(maxlen=_KEPT)

    def attach(self, agent: Agent) -> None:
        """Note what an agent's recogniser says, and mark the agent's turns with it."""
        replace(agent, "stt_node", through(agent.stt_node, gives=self._noted))
        replace(agent, "on_user_turn_completed", self._marking(agent.on_user_turn_completed))

    async def _noted(
        self, events: AsyncIterable[SpeechEvent | str]
    ) -> AsyncIterator[SpeechEvent | str]:
        async for event in events:
            if isinstance(event, SpeechEvent) and event.type is SpeechEventType.FINAL_TRANSCRIPT:
                self._finals += event.alternatives[:1]
            yield event

    def _marking(self, complete_turn: Callable[..., Awaitable[None]]) -> Callable[..., Any]:
        async def on_user_turn_completed(turn_ctx: ChatContext, new_message: ChatMessage) -> None:
            if finals := self._take(new_message.text_content or ""):
                new_message.extra[RECOGNITION_KEY] = _recognition(finals)
            await complete_turn(turn_ctx, new_message=new_message)

        return on_user_turn_completed

    def _take(self, text: str) -> list[SpeechData]:
        """Return the transcripts that a turn ends with; earlier ones made no turn."""
        taken: list[SpeechData] = []
        rest = text.strip()
        while self._finals and rest.endswith(last := self._finals[-1].text.strip()):
            taken.insert(0, self._finals.pop())
            rest = rest.removesuffix(last).strip()
            if not rest:
                self._finals.clear()
        return taken


def _recognition(finals: list[SpeechData]) -> Recognition:
    known = [it.confidence for it in finals if it.confidence]
    spoken = [it for it in finals if it.words]
    return Recognition(
        confidence=min(known, default=None),
        words=tuple(
            RecognizedWord(str(word), word.confidence if is_given(word.confidence) else None)
            for it in spoken
            for word in it.words or ()
        )
        if len(spoken) == len(finals)
        else (),
        language=finals[-1].language.language if finals[-1].language else None,
    )
