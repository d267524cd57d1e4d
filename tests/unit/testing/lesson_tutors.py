"""Tutors of which the kit's tests play lessons."""

import asyncio
import time

from livekit.agents import Agent, llm

from loqua_host import HandoffError, current_lesson
from loqua_host.testing.voice import ScriptedLLM


class Echo(Agent):
    """Repeats what the learner says; calls a specialist when asked for help."""

    def __init__(self) -> None:
        super().__init__(instructions="")
        self.lesson = current_lesson()

    async def on_enter(self) -> None:
        """Greet, or greet again."""
        self.session.say("¡Otra vez!" if self.lesson.resumed else "¡Hola!")

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit's signature
        new_message: llm.ChatMessage,
    ) -> None:
        """Answer at once."""
        text = new_message.text_content or ""
        if text == "Ayuda.":
            self.helping = asyncio.create_task(self._call())
            return
        if text == "Error.":
            raise ValueError(text)
        if text == "Duerme.":
            await asyncio.to_thread(time.sleep, 0.05)
        self.session.say(f"Has dicho: {text}")
        if text == "Adiós.":
            self.lesson.end("said_goodbye")

    async def _call(self) -> None:
        try:
            back = await self.lesson.call_specialist("grammar-expert", focus="articles")
        except HandoffError:
            self.session.say("No hay nadie.")
        else:
            self.session.say(f"Ya estás aquí: {back.outcome}.")


class Chatter(Agent):
    """Leaves its words to a language model."""

    def __init__(self) -> None:
        super().__init__(instructions="Teach.")

    async def on_enter(self) -> None:
        """Greet."""
        self.session.generate_reply(instructions="Greet.")


class Model(ScriptedLLM):
    """A language model that says one thing."""

    def __init__(self) -> None:
        super().__init__(["Habla el modelo."])
