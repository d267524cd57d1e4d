"""A language model that gives a script's replies, for lessons without a real one."""

from collections.abc import Callable
from typing import Any, Never

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, llm

__all__ = ["ScriptReplyLLM"]


class ScriptReplyLLM(llm.LLM[Never]):
    """A LiveKit language model whose answer is always the script's current reply.

    Args:
        reply: Returns the current reply.
    """

    def __init__(self, reply: Callable[[], str]) -> None:
        super().__init__()
        self._reply = reply

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        """Return the script's reply, whatever the context says."""
        return _ReplyStream(
            self, self._reply(), chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options
        )


class _ReplyStream(llm.LLMStream):
    def __init__(self, model: ScriptReplyLLM, text: str, **stream: Any) -> None:
        super().__init__(model, **stream)
        self._text = text

    async def _run(self) -> None:
        delta = llm.ChoiceDelta(role="assistant", content=self._text)
        self._event_ch.send_nowait(llm.ChatChunk(id="script", delta=delta))
