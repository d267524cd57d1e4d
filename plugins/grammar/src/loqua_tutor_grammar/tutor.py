"""The agent that speaks with the learner."""

from livekit.agents import Agent, llm

from loqua_host import Lesson

from .drill import Drill
from .practice import Notes, hear, is_done, line

__all__ = ["GrammarTutor"]

HEARD_LIMIT = 300
"""Characters of one turn that are checked and, corrected, said back."""


class GrammarTutor(Agent):
    """Asks, listens and corrects by rules; it needs no language model.

    Attributes:
        notes: What happened so far.
        drill: The questions.
    """

    def __init__(self, lesson: Lesson, drill: Drill, notes: Notes) -> None:
        """Prepare the tutor to go on from `notes`."""
        super().__init__(instructions="", llm=None)
        self.lesson = lesson
        self.drill = drill
        self.notes = notes

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  LiveKit passes it by position
        new_message: llm.ChatMessage,
    ) -> None:
        """Check what the learner said, and correct it or ask on."""
        self.notes = hear(self.notes, self.drill, (new_message.text_content or "")[:HEARD_LIMIT])
        self.lesson.state["notes"] = self.notes.model_dump(mode="json")
        reply = self.session.say(line(self.notes, self.drill))
        if is_done(self.notes, self.drill):
            reply.add_done_callback(lambda _: self.lesson.end("questions_done"))
