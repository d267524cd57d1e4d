"""The tutor `sample`: its hooks, which the host calls."""

from livekit.agents import Agent
from loqua_host import Lesson, LessonReport, Progress, Tutor, hookimpl

from .settings import Settings
from .tutor import TutorAgent

__all__ = ["Settings", "TutorAgent"]


@hookimpl
def register_tutor() -> Tutor[Settings]:
    """Declare a specialist, which joins when a learner or another tutor asks for it."""
    return Tutor(
        name="sample",
        agent_name="sample-specialist",
        settings=Settings,
    )


@hookimpl
async def create_agent(lesson: Lesson[Settings]) -> Agent:
    """Create the agent that speaks with the learner."""
    return TutorAgent(lesson)


@hookimpl
async def on_user_ready(lesson: Lesson[Settings]) -> None:
    """Ask the first question, or in a resumed lesson the next one."""
    lesson.get_agent(TutorAgent).ask()


@hookimpl
async def on_progress_tick(lesson: Lesson[Settings]) -> Progress:
    """Count the answers so far."""
    return Progress(phrases_practiced=lesson.get_agent(TutorAgent).answers)


@hookimpl
async def on_session_end(lesson: Lesson[Settings]) -> LessonReport | None:
    """Report the lesson, unless it had no agent."""
    if lesson.agent is None:
        return None
    answers = lesson.get_agent(TutorAgent).answers
    return LessonReport(
        progress=Progress(phrases_practiced=answers), topics_covered=("conversation",)
    )
