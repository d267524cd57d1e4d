"""An agent with a function tool, and a language model that calls it before it answers."""

from typing import Any, Never

from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    Agent,
    APIConnectOptions,
    function_tool,
    llm,
)

__all__ = ["Dealer"]

CALL = llm.FunctionToolCall(name="count_cards", arguments='{"deck": "verbs"}', call_id="call_1")


class Dealer(Agent):
    """An agent with a tool that returns the number of cards in a deck."""

    def __init__(self) -> None:
        super().__init__(instructions="", llm=ToolCallingLLM())

    @function_tool
    async def count_cards(self, deck: str) -> str:
        """Count the cards of a deck."""
        return f"12 cards in {deck}"


class ToolCallingLLM(llm.LLM[Never]):
    """A language model that calls the tool and repeats its result."""

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        """Answer the last item."""
        return _ToolCallStream(
            self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options
        )


class _ToolCallStream(llm.LLMStream):
    async def _run(self) -> None:
        match self.chat_ctx.items[-1]:
            case llm.FunctionCallOutput(output=output):
                delta = llm.ChoiceDelta(role="assistant", content=f"There are {output}.")
            case _:
                delta = llm.ChoiceDelta(role="assistant", tool_calls=[CALL])
        self._event_ch.send_nowait(llm.ChatChunk(id="dealt", delta=delta))
