"""A tutor that greets in rooms whose names ask for it, and notes what it hears."""

import asyncio

from livekit.agents import Agent, AgentSession, StopResponse, UserStateChangedEvent, llm

from loqua_host import Lesson, LessonReport, Progress, Tutor, hookimpl

GREETING = "Buenos días, señora. ¿Qué desea tomar? Hoy tenemos sopa de verduras y pescado."


class Waiter(Agent):
    """Takes orders in silence."""

    def __init__(self, lesson: Lesson) -> None:
        super().__init__(instructions="")
        self.lesson = lesson

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit's signature
        new_message: llm.ChatMessage,
    ) -> None:
        """Note an order."""
        orders(self.lesson).append(new_message.text_content or "")
        self.lesson.log.info("waiter.heard", number=len(orders(self.lesson)))
        raise StopResponse


def orders(lesson: Lesson) -> list[str]:
    """Return what the learner has said."""
    noted: list[str] = lesson.state.setdefault("orders", [])
    return noted


async def until_speaking(session: AgentSession) -> None:
    """Wait until the learner speaks."""
    began = asyncio.Event()

    def note(event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            began.set()

    session.on("user_state_changed", note)
    if session.user_state != "speaking":
        await began.wait()


class Plugin:
    """The tutor's hooks."""

    @hookimpl
    def register_tutor(self) -> Tutor:
        """Name the tutor."""
        return Tutor(name="waiter")

    @hookimpl
    async def create_agent(self, lesson: Lesson) -> Agent:
        """Return the waiter."""
        return Waiter(lesson)

    @hookimpl
    async def on_user_ready(self, lesson: Lesson) -> None:
        """Greet: at once, or while the learner speaks already."""
        lesson.log.info("waiter.ready")
        kind, _, _ = lesson.room.partition("-")
        if kind == "late":
            await until_speaking(lesson.session)
        if kind in ("greeting", "late"):
            await lesson.session.say(GREETING)
            lesson.log.info("waiter.greeted")

    @hookimpl
    async def on_progress_tick(self, lesson: Lesson) -> Progress:
        """Count the orders."""
        return Progress(phrases_practiced=len(orders(lesson)))

    @hookimpl
    async def on_session_end(self, lesson: Lesson) -> LessonReport:
        """Report the orders."""
        done = Progress(phrases_practiced=len(orders(lesson)))
        return LessonReport(progress=done, topics_covered=tuple(orders(lesson)))


plugin = Plugin()
