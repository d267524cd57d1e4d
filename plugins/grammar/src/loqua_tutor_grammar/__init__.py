"""The grammar tutor: asks, listens, corrects one sentence at a time."""

from livekit.agents import Agent
from pydantic import BaseModel, ConfigDict, Field

from loqua_host import Lesson, LessonReport, Progress, Tutor, hookimpl

from .check import check
from .correction import Correction
from .drill import load_drill
from .practice import Notes, greeting, progress, report
from .tutor import GrammarTutor

__all__ = ["Correction", "GrammarSettings", "check"]


class GrammarSettings(BaseModel):
    """What `settings:` of this tutor may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: int = Field(default=3, ge=1, le=20, description="questions in a lesson")


@hookimpl
def register_tutor() -> Tutor[GrammarSettings]:
    """Declare a specialist that enters a room when it is called."""
    return Tutor(name="grammar", agent_name="grammar-specialist", settings=GrammarSettings)


@hookimpl
async def create_agent(lesson: Lesson[GrammarSettings]) -> Agent:
    """Load the questions, and go on where an earlier process stopped."""
    notes = Notes.model_validate(lesson.state.get("notes") or {})
    focus = lesson.handover.focus if lesson.handover else ""
    drill = load_drill(lesson.language, lesson.settings.questions, focus)
    return GrammarTutor(lesson, drill, notes)


@hookimpl
async def on_user_ready(lesson: Lesson) -> None:
    """Greet, and ask the first question."""
    tutor = lesson.get_agent(GrammarTutor)
    lesson.session.say(greeting(tutor.notes, tutor.drill))


@hookimpl
async def on_progress_tick(lesson: Lesson) -> Progress:
    """Count what the learner has said so far."""
    return progress(lesson.get_agent(GrammarTutor).notes)


@hookimpl
async def on_session_end(lesson: Lesson) -> LessonReport | None:
    """Report what was practised, what was wrong and what was set right."""
    if lesson.agent is None:
        return None
    notes = lesson.get_agent(GrammarTutor).notes
    return report(notes, lesson.context.preferences.native_language)
