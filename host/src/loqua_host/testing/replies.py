"""Scripted replies of a language model: texts, or calls of the agent's function tools."""

import json
from typing import Any

from livekit.agents.llm import FunctionCall
from livekit.agents.utils import shortuuid
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

__all__ = ["CallsTool", "Reply", "function_call"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class CallsTool:
    """The language model calls a function tool of the agent. `{tool: look_up, arguments: {…}}`.

    Args:
        tool: The tool's name.
        arguments: Its arguments.
    """

    tool: str
    arguments: dict[str, Any] | None = None


Reply = str | CallsTool


def function_call(reply: CallsTool) -> FunctionCall:
    """Return the call as LiveKit's `FunctionCall`."""
    arguments = json.dumps(reply.arguments or {})
    return FunctionCall(call_id=shortuuid("call_"), name=reply.tool, arguments=arguments)
