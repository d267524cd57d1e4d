"""A scripted specialist in a real room, who says nothing and returns the learner.

The agent `loqua_host.testing.room_specialist:Taught30` teaches for 30 s; `Failed30` fails then.
"""

import asyncio
import re

from livekit.agents import Agent, get_job_context

from loqua_host.contract.lesson import current_lesson

__all__ = ["CALLED", "agent_class_name"]

CALLED = "specialist.called"
"""The log event of a specialist that has come."""


class _Specialist(Agent):
    reason = "done"
    seconds = 30.0

    def __init__(self) -> None:
        super().__init__(instructions="", llm=None)

    async def on_enter(self) -> None:
        """Report the handover, and end the lesson after a while."""
        lesson = current_lesson()
        if lesson.handover is not None:
            name, request = get_job_context().job.agent_name, lesson.handover
            lesson.log.info(CALLED, agent_name=name, focus=request.focus, words=list(request.words))
        await asyncio.sleep(self.seconds)
        lesson.end(self.reason)


def agent_class_name(outcome: str, seconds: float) -> str:
    """Return the name of the class of a specialist.

    Args:
        outcome: `taught` or `failed`.
        seconds: How long its lesson takes.
    """
    return f"{outcome.title()}{round(seconds)}"


def __getattr__(name: str) -> type[Agent]:
    """Return the class of that name: a host creates agents without arguments."""
    found = re.fullmatch(r"(Taught|Failed)(\d+)", name)
    if found is None:
        raise AttributeError(name)
    reason = "done" if found[1] == "Taught" else "specialist_failed"
    return type(name, (_Specialist,), {"reason": reason, "seconds": float(found[2])})
