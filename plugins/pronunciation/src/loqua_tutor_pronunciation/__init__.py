"""The pronunciation tutor: sentences to repeat, and feedback on their sounds."""

from datetime import UTC, datetime

from httpx import AsyncClient
from livekit.agents import Agent
from pydantic import BaseModel, ConfigDict, Field

from loqua_host import Lesson, LessonReport, Progress, PronunciationScorer, Tutor, hookimpl

from .exercises import SpokenLanguage, load_language, plan
from .findings import MOST_SOUNDS
from .levels import Level, estimate_level
from .practice import PracticeState, progress, report
from .sounds import due_sounds
from .tutor import PronunciationTutor

__all__ = ["PronunciationSettings"]


class PronunciationSettings(BaseModel):
    """The section `settings:` of this tutor's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    exercises: int = Field(default=4, ge=1, le=20, description="sentences in a lesson")
    level: Level | None = Field(
        default=None, description="A1, A2, B1 or B2, or null to estimate it from words learned"
    )
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
    language = load_language(lesson.language)
    noted = lesson.state.get("practice")
    state = PracticeState.model_validate(noted) if noted else begin(lesson, language)
    address = lesson.settings.scorer
    scorer = PronunciationScorer(address, AsyncClient()) if address else None
    return PronunciationTutor(lesson, language, state, scorer)


@hookimpl
async def on_user_ready(lesson: Lesson) -> None:
    """Greet, and return the first sentence."""
    lesson.get_agent(PronunciationTutor).greet()


@hookimpl
async def on_progress_tick(lesson: Lesson) -> Progress:
    """Count the tries so far."""
    return progress(lesson.get_agent(PronunciationTutor).state)


@hookimpl
async def on_session_end(lesson: Lesson) -> LessonReport | None:
    """Report exercises, score, sounds and words."""
    if lesson.agent is None:
        return None
    tutor = lesson.get_agent(PronunciationTutor)
    return report(tutor.state, tutor.language, lesson.context.preferences.native_language)


def begin(lesson: Lesson[PronunciationSettings], language: SpokenLanguage) -> PracticeState:
    """Return a new practice, for the words and sounds of a call, or for sounds that are due."""
    history, call = lesson.context.session_history, lesson.handover
    asked = tuple(it for it in call.focus.split() if language.has_sound(it)) if call else ()
    due = due_sounds(history, language.language, datetime.now(UTC))
    focus = (asked or tuple(it for it in due if language.has_sound(it)))[:MOST_SOUNDS]
    exercises = plan(
        language,
        count=lesson.settings.exercises,
        lessons_before=sum("pronunciation" in past.topics_covered for past in history),
        level=lesson.settings.level or estimate_level(lesson.context.progress),
        focus=focus,
        words=call.words if call else (),
    )
    return PracticeState(exercises=exercises, focus=focus)
