"""Evaluation of a tutor's words by a language model."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from livekit.agents.llm import LLM, ChatMessage
from livekit.agents.voice.run_result import (
    ChatMessageAssert,
    ChatMessageEvent,
    RunAssert,
    RunResult,
)

__all__ = ["Claim", "find_misjudged"]

Claim = tuple[str, str]
"""The tutor's words, and their expected meaning."""


def find_misjudged(claims: Sequence[Claim], judge: "LLM[Any]") -> Iterator[str]:
    """Yield which texts do not mean what they should, each as one line.

    LiveKit's own judge asks the model, as in `result.expect.next_event().is_message().judge()`. It
    runs after the lesson, in real time.

    Args:
        claims: The texts and their meanings.
        judge: The language model, which must call function tools.
    """
    for text, meaning in claims:
        if why := asyncio.run(_misjudged(text, meaning, judge)):
            yield f"the tutor did not say what means {meaning!r}, but {text!r}: {why}"


async def _misjudged(text: str, meaning: str, judge: "LLM[Any]") -> str:
    event = ChatMessageEvent(item=ChatMessage(role="assistant", content=[text]))
    said = ChatMessageAssert(event, RunAssert(RunResult(output_type=None)), 0)
    try:
        await said.judge(judge, intent=meaning)
    except AssertionError as refused:
        return str(refused).splitlines()[0]
    return ""
