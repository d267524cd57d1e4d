"""The agent that speaks with the learner."""

from livekit.agents import Agent, llm

from loqua_host import Lesson

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

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  LiveKit passes it by position
        new_message: llm.ChatMessage,
    ) -> None:
        """Score what the learner said, and say how it was and what comes next."""
        self.notes = hear(self.notes, self.plan, new_message.text_content or "")
        self.lesson.state["notes"] = self.notes.model_dump(mode="json")
        reply = self.session.say(line(self.notes, self.plan))
        if is_done(self.notes, self.plan):
            reply.add_done_callback(lambda _: self.lesson.end("exercises_done"))
