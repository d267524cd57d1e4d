"""The grammar tutor: asks, listens, corrects one sentence at a time."""

import asyncio

from livekit.agents import Agent, llm
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from loqua_host import Lesson, LessonReport, Progress, Tutor, hookimpl

from .check import Checker, embedded_checker
from .correction import GrammarCorrection
from .drill import load_drill
from .language_model import LanguageModelEngine
from .languagetool import LanguageToolEngine
from .practice import GrammarPracticeState, begin, greeting, progress, report
from .rules import load_rules, rule_languages
from .tutor import GrammarTutor

__all__ = ["Checker", "GrammarCorrection", "GrammarSettings", "embedded_checker"]


class GrammarSettings(BaseModel):
    """The section `settings:` of this tutor's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: int = Field(default=3, ge=1, le=20, description="questions in a lesson")
    languagetool: HttpUrl | None = Field(
        default=None, description="address of a LanguageTool server, such as http://localhost:8081"
    )


@hookimpl
def register_tutor() -> Tutor[GrammarSettings]:
    """Declare a specialist that enters a room when it is called."""
    return Tutor(name="grammar", agent_name="grammar-specialist", settings=GrammarSettings)


@hookimpl
async def create_agent(lesson: Lesson[GrammarSettings]) -> Agent:
    """Load rules and exercises, and go on where an earlier process stopped."""
    focus = lesson.handover.focus if lesson.handover else ""
    drill = load_drill(lesson.language, lesson.settings.questions, focus)
    if lesson.language in rule_languages():
        await asyncio.to_thread(load_rules, lesson.language)
    kept = lesson.state.get("practice")
    state = GrammarPracticeState.model_validate(kept) if kept else begin(drill)
    return GrammarTutor(lesson, drill, state, _checker(lesson))


def _checker(lesson: Lesson[GrammarSettings]) -> Checker:
    """Return the engines that this lesson has: a server's and a model's come after the rules."""
    server = lesson.settings.languagetool
    model = lesson.session.llm
    return embedded_checker(
        *([LanguageToolEngine(str(server))] if server else []),
        *([LanguageModelEngine(model)] if isinstance(model, llm.LLM) else []),
    )


@hookimpl
async def on_user_ready(lesson: Lesson) -> None:
    """Greet, and ask the first question."""
    tutor = lesson.get_agent(GrammarTutor)
    lesson.session.say(greeting(tutor.state, tutor.drill))


@hookimpl
async def on_progress_tick(lesson: Lesson) -> Progress:
    """Count what the learner has said so far."""
    return progress(lesson.get_agent(GrammarTutor).state)


@hookimpl
async def on_session_end(lesson: Lesson) -> LessonReport | None:
    """Report what was practised, what was wrong and what was set right."""
    if lesson.agent is None:
        return None
    state = lesson.get_agent(GrammarTutor).state
    return report(state, lesson.context.preferences.native_language)
