"""The agent that speaks with the learner."""

from livekit.agents import Agent, llm
from livekit.agents.voice import SpeechHandle

from loqua_host import Lesson

from .exercises import Plan
from .practice import Notes, hear, is_done, line

__all__ = ["PronunciationTutor"]

HEARD_LIMIT = 300
"""Characters of what was recognised at once that are scored."""


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
        self._before = notes
        self._heard = ""
        self._reply: SpeechHandle | None = None

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  LiveKit passes it by position
        new_message: llm.ChatMessage,
    ) -> None:
        """Score what the learner said, and say how it was and what comes next."""
        text = new_message.text_content or ""
        if _unheard(self._reply):  # so the learner only paused: the turn goes on
            self._heard = f"{self._heard} {text}"[:HEARD_LIMIT]
        else:
            self._before, self._heard = self.notes, text[:HEARD_LIMIT]
        self.notes = hear(self._before, self.plan, self._heard)
        self.lesson.state["notes"] = self.notes.model_dump(mode="json")
        self._reply = self.session.say(line(self.notes, self.plan))
        if is_done(self.notes, self.plan):
            self._reply.add_done_callback(self._end)

    def _end(self, goodbye: SpeechHandle) -> None:
        if not _unheard(goodbye):
            self.lesson.end("exercises_done")


def _unheard(reply: SpeechHandle | None) -> bool:
    """Whether the learner spoke before anything of a reply could be heard."""
    return reply is not None and reply.interrupted and not reply.chat_items
