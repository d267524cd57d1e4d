"""The closing of a lesson's session in LiveKit, within a time limit."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from livekit.agents import Agent, AgentTask

from loqua_host.job.voice.session import CLOSE_SECONDS, LessonSession, close_voice


class AgentThatDoesNotStop(Agent):
    """An agent that does not end until the test does, even when cancelled."""

    def __init__(self, *, heeds: bool) -> None:
        super().__init__(instructions="")
        self.heeds = heeds
        self.over = asyncio.Event()

    async def on_exit(self) -> None:
        """Block until cancelled."""
        while not self.over.is_set():
            try:
                await self.over.wait()
            except asyncio.CancelledError:
                if self.heeds:
                    raise


@pytest.fixture
async def session() -> AsyncIterator[LessonSession]:
    """Yield a session without engines."""
    session = LessonSession()
    yield session
    await session.aclose()


@pytest.mark.parametrize("heeds", [True, False], ids=["until cancelled", "though cancelled"])
async def test_a_voice_that_does_not_let_go_is_left_to_itself(
    session: LessonSession, *, heeds: bool
) -> None:
    """The record and the rest of the ending do not wait for it (livekit/agents#5497)."""
    agent = AgentThatDoesNotStop(heeds=heeds)
    await session.start(agent)
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(CLOSE_SECONDS + 1):
            assert not await close_voice(session, None)
        assert asyncio.get_running_loop().time() - began >= CLOSE_SECONDS
    finally:
        agent.over.set()


class Question(AgentTask[str]):
    """A task that asks a question which nobody answers."""

    def __init__(self) -> None:
        super().__init__(instructions="")
        self.asked = asyncio.Event()

    async def on_enter(self) -> None:
        """Speak a question."""
        self.asked.set()


class Asking(Agent):
    """An agent that waits for an answer to its question."""

    def __init__(self, question: Question) -> None:
        super().__init__(instructions="")
        self.question = question
        self.answer: Any = None

    async def on_enter(self) -> None:
        """Wait for it."""
        try:
            self.answer = await self.question
        except Exception as error:  # noqa: BLE001  # whatever LiveKit makes of it
            self.answer = error


async def test_a_voice_closes_in_the_middle_of_an_agents_task(session: LessonSession) -> None:
    """LiveKit once waited for it, and it for LiveKit, for a minute (livekit/agents#6071)."""
    question = Question()
    agent = Asking(question)
    await session.start(agent)
    await question.asked.wait()
    assert await close_voice(session, None)
    assert isinstance(agent.answer, Exception)
    assert session.output.audio is None
