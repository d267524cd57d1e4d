"""The conversation tutor: a short role play, from a greeting to a goodbye."""

from livekit.agents import Agent
from pydantic import BaseModel, ConfigDict, Field, field_validator

from loqua_host import Lesson, LessonReport, Progress, Tutor, hookimpl

from .scenario import choose, scenarios
from .talk import Notes, progress, report
from .tutor import ConversationTutor

__all__ = ["ConversationSettings"]


class Specialists(BaseModel):
    """Whom to call for what, by agent name; nobody where it is null."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grammar: str | None = Field(
        default=None, description="for a mistake made twice, or when the learner asks"
    )
    pronunciation: str | None = Field(
        default=None, description="when the learner asks how to say something"
    )


class ConversationSettings(BaseModel):
    """What `settings:` of this tutor may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: str = Field(default="auto", description="a scenario's name, or `auto`")

    specialists: Specialists = Field(
        default=Specialists(), description="agent names of the tutors that it may call"
    )

    @field_validator("scenario")
    @classmethod
    def _known(cls, name: str) -> str:
        names = ["auto", *sorted({scenario.name for scenario in scenarios()})]
        if name not in names:
            raise ValueError(f"write one of {', '.join(names)}")
        return name


@hookimpl
def register_tutor() -> Tutor[ConversationSettings]:
    """Declare a tutor that enters every new room."""
    return Tutor(name="conversation", settings=ConversationSettings)


@hookimpl
async def create_agent(lesson: Lesson[ConversationSettings]) -> Agent:
    """Choose a scenario, or go on with the one that an earlier process began."""
    if "notes" in lesson.state:
        notes = Notes.model_validate(lesson.state["notes"])
        scenario = choose(lesson.language, notes.scenario, lesson.context)
    else:
        scenario = choose(lesson.language, lesson.settings.scenario, lesson.context)
        notes = Notes(scenario=scenario.name)
    return ConversationTutor(lesson, scenario, notes, lesson.settings.specialists.model_dump())


@hookimpl
async def on_user_ready(lesson: Lesson) -> None:
    """Greet, and ask the first question."""
    lesson.get_agent(ConversationTutor).greet()


@hookimpl
async def on_progress_tick(lesson: Lesson) -> Progress:
    """Count what the learner has said so far."""
    return progress(lesson.get_agent(ConversationTutor).notes)


@hookimpl
async def on_session_end(lesson: Lesson) -> LessonReport | None:
    """Report words, topics and grammar that the learner really used."""
    if lesson.agent is None:
        return None
    tutor = lesson.get_agent(ConversationTutor)
    return report(tutor.notes, tutor.scenario, lesson.context.preferences.native_language)
