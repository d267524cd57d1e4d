"""The agent that speaks with the learner."""

from livekit.agents import Agent, llm

from loqua_host import Lesson, Turns

from .check import Checker
from .correction import present
from .drill import Drill
from .explanation import explain
from .practice import GrammarPracticeState, advance, is_done, is_expected, line

__all__ = ["GrammarTutor"]


class GrammarTutor(Agent):
    """Ask, listen and correct; the tutor's lines are written, not generated.

    Attributes:
        state: What happened so far.
        drill: The exercises.
    """

    def __init__(
        self, lesson: Lesson, drill: Drill, state: GrammarPracticeState, checker: Checker
    ) -> None:
        """Prepare the tutor to go on from `state`."""
        super().__init__(instructions="", llm=None)
        self.lesson = lesson
        self.drill = drill
        self.state = state
        self._checker = checker
        self._turns: Turns[GrammarPracticeState] = Turns()
        lesson.expects = lambda words: is_expected(self.state, self.drill, words)

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  LiveKit passes it by position
        new_message: llm.ChatMessage,
    ) -> None:
        """Check what the learner said, and correct it or ask on."""
        turn = self._turns.add(new_message, self.state)
        if self.lesson.teaches(turn.learner):
            found = await self._checker.check(turn.text, self.drill.language)
            self.state = advance(turn.notes, self.drill, turn.text, found)
            self.lesson.state["practice"] = self.state.model_dump(mode="json")
            for each in (it for it in found if it.severity == "error"):
                why = explain(each.message, self.drill.name)
                self.lesson.show(present(each, turn.text, why))
        done = is_done(self.state, self.drill)
        self._turns.reply(
            self.session.say(line(self.state, self.drill)), then=self._end if done else None
        )

    def _end(self) -> None:
        self.lesson.end("questions_done")
