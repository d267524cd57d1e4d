"""The agent that speaks with the learner."""

from livekit.agents import Agent, llm
from livekit.agents.voice import SpeechHandle
from loqua_host import Lesson, Turns

from .settings import Settings

__all__ = ["TutorAgent"]


class TutorAgent(Agent):
    """Ask the questions of the settings, one after another.

    Attributes:
        answers: How many answers the learner has given.
    """

    def __init__(self, lesson: Lesson[Settings]) -> None:
        super().__init__(instructions="", llm=None)  # no language model: the questions are enough
        self.lesson = lesson
        self.answers = int(str(lesson.state.get("answers", 0)))
        self._turns: Turns[int] = Turns()

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        """Count an answer, and ask the next question."""
        turn = self._turns.add(new_message, self.answers)
        if self.lesson.teaches(turn.learner):
            self.answers = turn.notes + 1
            self.lesson.state["answers"] = self.answers
        self._turns.reply(self.ask(), then=None if self._left() else self._end)

    def ask(self) -> SpeechHandle:
        """Ask the next question, or say goodbye after the last."""
        left = self._left()
        return self.session.say(left[0] if left else self.lesson.settings.goodbye)

    def _left(self) -> tuple[str, ...]:
        return self.lesson.settings.questions[self.answers :]

    def _end(self) -> None:
        self.lesson.end("all_answered")
