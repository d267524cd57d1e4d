"""The pronunciation tutor: sentences to repeat, and how their sounds were pronounced."""

from httpx import AsyncClient
from livekit.agents import Agent
from pydantic import BaseModel, ConfigDict, Field

from loqua_host import Lesson, LessonReport, Progress, Tutor, hookimpl

from .exercises import plan
from .practice import PracticeState, greeting, progress, report
from .scoring import Scorer
from .tutor import PronunciationTutor

__all__ = ["PronunciationSettings"]


class PronunciationSettings(BaseModel):
    """What `settings:` of this tutor may hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exercises: int = Field(default=4, ge=1, le=20, description="sentences in a lesson")
    scorer: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="address of a speech server that scores pronunciation, such as"
        " http://127.0.0.1:8085/v1; without one there are no scores",
    )


@hookimpl
def register_tutor() -> Tutor[PronunciationSettings]:
    """Declare a specialist that enters a room when it is called."""
    return Tutor(
        name="pronunciation", agent_name="pronunciation-specialist", settings=PronunciationSettings
    )


@hookimpl
async def create_agent(lesson: Lesson[PronunciationSettings]) -> Agent:
    """Plan the exercises, or go on with those that an earlier process began."""
    noted = lesson.state.get("practice") or {"lessons_before": _lessons_before(lesson)}
    state = PracticeState.model_validate(noted)
    words = lesson.handover.words if lesson.handover else ()
    exercises = plan(
        lesson.language,
        count=lesson.settings.exercises,
        lessons_before=state.lessons_before,
        words=words,
    )
    scorer = Scorer(address, AsyncClient()) if (address := lesson.settings.scorer) else None
    return PronunciationTutor(lesson, exercises, state, scorer)


@hookimpl
async def on_user_ready(lesson: Lesson) -> None:
    """Greet, and give the first sentence."""
    tutor = lesson.get_agent(PronunciationTutor)
    lesson.session.say(greeting(tutor.state, tutor.plan))


@hookimpl
async def on_progress_tick(lesson: Lesson) -> Progress:
    """Count the tries so far."""
    return progress(lesson.get_agent(PronunciationTutor).state)


@hookimpl
async def on_session_end(lesson: Lesson) -> LessonReport | None:
    """Report exercises, score and words."""
    if lesson.agent is None:
        return None
    tutor = lesson.get_agent(PronunciationTutor)
    return report(tutor.state, tutor.plan, lesson.context.preferences.native_language)


def _lessons_before(lesson: Lesson) -> int:
    return sum("pronunciation" in past.topics_covered for past in lesson.context.session_history)
