"""A lesson in a running voice session without audio, and a learner who speaks in it.

Each tutor's own conftest.py has the fixture `plugin`: the module with its hooks.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest
from livekit.agents import AgentSession, StopResponse, llm
from livekit.agents.voice import SpeechHandle

from loqua_host import Learner, LearnerContext, Lesson, Recognition
from loqua_host.contract.turns import LEARNER_KEY, RECOGNITION_KEY, TYPED_KEY


class LessonUnderTest:
    """A running lesson, with what its tutor said."""

    def __init__(self, lesson: Lesson) -> None:
        self.lesson = lesson
        self._speeches: list[SpeechHandle] = []
        lesson.session.on(
            "speech_created", lambda event: self._speeches.append(event.speech_handle)
        )

    async def say(
        self,
        text: str,
        learner: Learner | None = None,
        recognition: Recognition | None = None,
    ) -> str:
        """Recognise words of the learner, or of another, and return the tutor's reply."""
        marks = {LEARNER_KEY: learner, RECOGNITION_KEY: recognition}
        await self._recognise(text, {key: it for key, it in marks.items() if it})
        await self.heard_out()
        return self.last

    async def say_and_go_on(self, text: str) -> None:
        """Pause after `text` as the learner, and continue before the reply is heard."""
        await self._recognise(text)
        await self.lesson.session.interrupt()

    async def type(self, text: str) -> str:
        """Type a message as the learner, and return the tutor's reply."""
        await self._recognise(text, {TYPED_KEY: True})
        await self.heard_out()
        return self.last

    async def _recognise(self, text: str, extra: dict[str, Any] | None = None) -> None:
        assert self.lesson.agent is not None
        marks = {LEARNER_KEY: self.lesson.learner, **(extra or {})}
        message = llm.ChatMessage(role="user", content=[text], extra=marks)
        with suppress(StopResponse):
            await self.lesson.agent.on_user_turn_completed(llm.ChatContext.empty(), message)

    async def heard_out(self) -> None:
        """Wait until the tutor has said all it had to say."""
        for speech in self._speeches:
            await speech.wait_for_playout()

    @property
    def last(self) -> str:
        """The tutor's last utterance."""
        messages = self.lesson.session.history.messages()
        return [it.text_content or "" for it in messages if it.role == "assistant"][-1]


@pytest.fixture
def make_lesson(plugin: Any) -> Callable[..., Lesson]:
    """Make lessons as the host does, with any field replaced."""

    def make(**fields: Any) -> Lesson:
        defaults: dict[str, Any] = {
            "id": "lesson_1",
            "visit": "visit_1",
            "room": "room_1",
            "learner": Learner(user_id="user_1", identity="user_1"),
            "context": LearnerContext(),
            "language": "es",
            "settings": plugin.register_tutor().settings(),
            "session": AgentSession(),
        }
        return Lesson(**defaults | fields)

    return make


@pytest.fixture
def taught(plugin: Any) -> Callable[[Lesson], AbstractAsyncContextManager[LessonUnderTest]]:
    """Run a lesson's session for the length of a block, greeting included."""

    @asynccontextmanager
    async def run(lesson: Lesson) -> AsyncIterator[LessonUnderTest]:
        lesson.agent = await plugin.create_agent(lesson)
        classroom = LessonUnderTest(lesson)
        await lesson.session.start(lesson.agent)
        try:
            await plugin.on_user_ready(lesson)
            await classroom.heard_out()
            yield classroom
        finally:
            await lesson.session.aclose()

    return run
