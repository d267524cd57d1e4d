"""A tutor that greets, answers, and calls a specialist when asked for help."""

import asyncio

from livekit.agents import Agent, llm

from loqua_host import current_lesson

__all__ = ["Guide"]


class Guide(Agent):
    """A tutor with simple patterns, so that a recogniser's spelling makes no difference."""

    def __init__(self) -> None:
        super().__init__(instructions="", llm=None)
        self.lesson = current_lesson()

    async def on_enter(self) -> None:
        """Greet, or greet again."""
        self.session.say("Seguimos con la clase." if self.lesson.resumed else "Hola, buenos días.")

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit's signature
        new_message: llm.ChatMessage,
    ) -> None:
        """Answer at once."""
        if "ayuda" in (new_message.text_content or "").lower():
            self.helping = asyncio.create_task(self._call())
        else:
            self.session.say("Muy bien.")

    async def _call(self) -> None:
        back = await self.lesson.call_specialist("grammar-expert", focus="articles")
        self.session.say("Ya estás de vuelta." if back.outcome == "taught" else "Qué pena.")
