"""A tutor that greets, and whose model answers each order."""

from livekit.agents import Agent, llm

from loqua_host import Lesson, Tutor, hookimpl

GREETING = "Buenos días, señora. Hoy tenemos sopa y pescado. ¿Qué desea tomar?"


class Barista(Agent):
    """Notes how many orders of coffee it has had."""

    def __init__(self, lesson: Lesson) -> None:
        super().__init__(instructions="Be brief.")
        self.lesson = lesson
        self.orders = 0

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit's signature
        new_message: llm.ChatMessage,
    ) -> None:
        """Note an order."""
        if "café" in (new_message.text_content or ""):
            self.orders += 1
            self.lesson.log.info("barista.ordered", number=self.orders)


class Plugin:
    """The tutor's hooks."""

    @hookimpl
    def register_tutor(self) -> Tutor:
        """Name the tutor."""
        return Tutor(name="barista")

    @hookimpl
    async def create_agent(self, lesson: Lesson) -> Agent:
        """Return the barista."""
        return Barista(lesson)

    @hookimpl
    async def on_user_ready(self, lesson: Lesson) -> None:
        """Greet."""
        await lesson.session.say(GREETING)
        lesson.log.info("barista.greeted")


plugin = Plugin()
