"""A mind for a tutor that has no language model: it says what the script says."""

from collections.abc import Callable
from typing import Any, Never

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, llm

__all__ = ["ScriptedMind"]


class ScriptedMind(llm.LLM[Never]):
    """A LiveKit language model whose answer is always the present line of a script."""

    def __init__(self, line: Callable[[], str]) -> None:
        super().__init__()
        self._line = line

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        """Answer with the script's line, whatever the context says."""
        return _Line(
            self, self._line(), chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options
        )


class _Line(llm.LLMStream):
    def __init__(self, mind: ScriptedMind, text: str, **stream: Any) -> None:
        super().__init__(mind, **stream)
        self._text = text

    async def _run(self) -> None:
        delta = llm.ChoiceDelta(role="assistant", content=self._text)
        self._event_ch.send_nowait(llm.ChatChunk(id="script", delta=delta))
