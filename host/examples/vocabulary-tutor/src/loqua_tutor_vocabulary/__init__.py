"""The tutor `vocabulary`: its hooks, which the host calls."""

from livekit.agents import Agent
from loqua_host import Lesson, LessonReport, Progress, Tutor, hookimpl

from .settings import Settings
from .tutor import VocabularyAgent

__all__ = ["Settings", "VocabularyAgent"]


@hookimpl
def register_tutor() -> Tutor[Settings]:
    """Declare a specialist, which joins when a learner or another tutor asks for it."""
    return Tutor(name="vocabulary", agent_name="vocabulary-specialist", settings=Settings)


@hookimpl
async def create_agent(lesson: Lesson[Settings]) -> Agent:
    """Create the agent that speaks with the learner."""
    return VocabularyAgent(lesson)


@hookimpl
async def on_user_ready(lesson: Lesson[Settings]) -> None:
    """Ask the first word, or in a resumed lesson the one that was open."""
    lesson.get_agent(VocabularyAgent).ask()


@hookimpl
async def on_progress_tick(lesson: Lesson[Settings]) -> Progress:
    """Count known words and answers."""
    return lesson.get_agent(VocabularyAgent).progress()


@hookimpl
async def on_session_end(lesson: Lesson[Settings]) -> LessonReport | None:
    """Report the lesson, unless it had no agent."""
    return lesson.get_agent(VocabularyAgent).report() if lesson.agent else None
