"""A tutor whose voice breaks as the name of its room says, until the lesson is resumed."""

import asyncio
from collections.abc import AsyncIterable

from livekit import rtc
from livekit.agents import Agent, ModelSettings, StopResponse, llm

from loqua_host import Lesson, Tutor, hookimpl


class Stuck(Agent):
    """Notes that it hears."""

    def __init__(self, lesson: Lesson) -> None:
        super().__init__(instructions="")
        self.lesson = lesson

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit's signature
        new_message: llm.ChatMessage,  # noqa: ARG002  # likewise
    ) -> None:
        """Note a turn."""
        self.lesson.log.info("stuck.heard")
        raise StopResponse

    async def tts_node(
        self, text: AsyncIterable[str], model_settings: ModelSettings
    ) -> AsyncIterable[rtc.AudioFrame]:
        """Speak, or say nothing for ever."""
        if is_broken(self.lesson, "mute"):
            await asyncio.Event().wait()
        async for frame in Agent.default.tts_node(self, text, model_settings):
            yield frame


def is_broken(lesson: Lesson, part: str) -> bool:
    """Return whether this part of the voice does not work."""
    return lesson.room.startswith(f"{part}-") and not lesson.resumed


class Plugin:
    """The tutor's hooks."""

    @hookimpl
    def register_tutor(self) -> Tutor:
        """Name the tutor."""
        return Tutor(name="stuck")

    @hookimpl
    async def create_agent(self, lesson: Lesson) -> Agent:
        """Return the agent."""
        return Stuck(lesson)

    @hookimpl
    async def on_user_ready(self, lesson: Lesson) -> None:
        """End what ends in LiveKit for whatever reason."""
        session = lesson.session
        lesson.log.info("stuck.ready", resumed=lesson.resumed)
        if is_broken(lesson, "deaf"):
            session._forward_audio_atask.cancel()
        if is_broken(lesson, "blind"):
            for stream in session.vad._streams:
                stream._task.cancel()
        if is_broken(lesson, "mute"):
            session.say("Un momento, por favor.")


plugin = Plugin()
