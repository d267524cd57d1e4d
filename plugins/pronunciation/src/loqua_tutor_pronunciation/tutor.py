"""The agent that speaks with the learner."""

from livekit.agents import Agent, llm

from loqua_host import Lesson, Turns

from .exercises import Plan
from .practice import Notes, hear, is_done, line

__all__ = ["PronunciationTutor"]


class PronunciationTutor(Agent):
    """Has sentences repeated, one by one; it needs no language model.

    Attributes:
        notes: What happened so far.
        plan: The exercises.
    """

    def __init__(self, lesson: Lesson, plan: Plan, notes: Notes) -> None:
        """Prepare the tutor to go on from `notes`."""
        super().__init__(instructions="", llm=None)
        self.lesson = lesson
        self.plan = plan
        self.notes = notes
        self._turns: Turns[Notes] = Turns()

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  LiveKit passes it by position
        new_message: llm.ChatMessage,
    ) -> None:
        """Score what the learner said, and say how it was and what comes next."""
        turn = self._turns.hear(new_message, self.notes)
        # What is typed tells nothing of how it sounds.
        if self.lesson.teaches(turn.learner) and not turn.typed:
            self.notes = hear(turn.notes, self.plan, turn.text)
            self.lesson.state["notes"] = self.notes.model_dump(mode="json")
        done = is_done(self.notes, self.plan)
        self._turns.reply(
            self.session.say(line(self.notes, self.plan)), then=self._end if done else None
        )

    def _end(self) -> None:
        self.lesson.end("exercises_done")
