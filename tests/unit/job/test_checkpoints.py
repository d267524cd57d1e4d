"""Checkpoints after each turn, so that a crash loses no more than the last words."""

import asyncio
from types import SimpleNamespace
from typing import Any

from livekit.agents.llm import ChatMessage, FunctionCall

from loqua_host.link.messages import Checkpoint


def said(job: Any, role: str, text: str) -> None:
    """Add a message to the conversation."""
    message = ChatMessage(role=role, content=[text])  # type: ignore[arg-type]  # as a test names it
    job.session.history.insert(message)
    job.session.emit("conversation_item_added", SimpleNamespace(item=message))


def checkpoints(job: Any) -> list[Checkpoint]:
    """List what the host was sent."""
    return [one for one in job.link.sent if isinstance(one, Checkpoint)]


async def test_state_and_turns_are_sent_when_somebody_has_said_something(job: Any) -> None:
    """Long before the first tick, without progress, and with what was taught so far."""
    running = job.start()
    await asyncio.sleep(5)
    job.lesson.state["card"] = 1
    said(job, "user", "el perro")
    await asyncio.sleep(0.001)
    job.lesson.state["card"] = 2
    said(job, "assistant", "¡Muy bien!")
    await asyncio.sleep(0.001)
    first, second = checkpoints(job)
    assert (first.state, first.seconds, first.progress) == ({"card": 1}, 5, None)
    assert second.state == {"card": 2}
    assert [turn.text for turn in second.turns] == ["el perro", "¡Muy bien!"]
    job.lesson.end("done")
    await running


async def test_what_nobody_said_is_no_turn(job: Any) -> None:
    """Calls of functions come with the reply that they are for."""
    running = job.start()
    await asyncio.sleep(1)
    call = FunctionCall(call_id="1", name="note", arguments="{}")
    job.session.emit("conversation_item_added", SimpleNamespace(item=call))
    await asyncio.sleep(1)
    assert checkpoints(job) == []
    job.lesson.end("done")
    await running


async def test_a_state_that_cannot_be_kept_costs_neither_turns_nor_time(job: Any) -> None:
    """The host keeps the state that it had."""
    running = job.start()
    await asyncio.sleep(3)
    job.lesson.state["words"] = {"perro"}
    said(job, "user", "el perro")
    await asyncio.sleep(0.001)
    [sent] = checkpoints(job)
    assert (sent.state, sent.seconds, len(sent.turns)) == (None, 3, 1)
    job.lesson.end("done")
    await running
