"""A tutor that says again what it hears, and reports each word."""

from livekit.agents import Agent, StopResponse, llm

from loqua_host import Lesson, LessonReport, Progress, Tutor, Word, hookimpl


class Parrot(Agent):
    """Says everything again."""

    def __init__(self, lesson: Lesson) -> None:
        super().__init__(instructions="")
        self.lesson = lesson

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit's signature
        new_message: llm.ChatMessage,
    ) -> None:
        """Say it again."""
        text = new_message.text_content or ""
        heard(self.lesson).append(text)
        await self.session.say(f"He oído: {text}")
        raise StopResponse


def heard(lesson: Lesson) -> list[str]:
    """Return what the learner has said."""
    noted: list[str] = lesson.state.setdefault("heard", [])
    return noted


def words(lesson: Lesson) -> list[str]:
    """Return its words."""
    return [word for text in heard(lesson) for word in text.split()]


class Plugin:
    """The tutor's hooks."""

    @hookimpl
    def register_tutor(self) -> Tutor:
        """Name the tutor."""
        return Tutor(name="parrot")

    @hookimpl
    async def create_agent(self, lesson: Lesson) -> Agent:
        """Return the parrot."""
        return Parrot(lesson)

    @hookimpl
    async def on_user_ready(self, lesson: Lesson) -> None:
        """Note that it is there."""
        lesson.log.info("parrot.ready")

    @hookimpl
    async def on_progress_tick(self, lesson: Lesson) -> Progress:
        """Count the words."""
        return Progress(words_learned=len(words(lesson)))

    @hookimpl
    async def on_session_end(self, lesson: Lesson) -> LessonReport:
        """Report the words and the texts."""
        met = tuple(Word(word=word, translation=word, language="es") for word in words(lesson))
        done = Progress(words_learned=len(met))
        return LessonReport(progress=done, new_vocabulary=met, topics_covered=tuple(heard(lesson)))


plugin = Plugin()
