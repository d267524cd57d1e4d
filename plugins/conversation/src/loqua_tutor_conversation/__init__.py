"""The conversation tutor: role plays with a goal, from a greeting to a goodbye."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from httpx import AsyncClient
from livekit.agents import Agent
from pydantic import BaseModel, ConfigDict, Field, field_validator

from loqua_host import (
    DueTopics,
    Lesson,
    LessonReport,
    Preferences,
    Progress,
    PronunciationScorer,
    Tick,
    Tutor,
    hookimpl,
)

from .course import Course, LearnerProfile, Pace
from .language import Speciality
from .native import native_code
from .plain import tokens
from .plan import greeting, plan_lesson
from .report import progress, report
from .review import due_topics
from .scenario import Level, load_scenarios
from .selection import choose, rank
from .spoken_sounds import SpokenSounds
from .state import ConversationState
from .tutor import ConversationTutor, Opening

__all__ = ["ConversationSettings"]

_PACES = {
    "slow": Pace(sentences=2, patience=1.5, speed=0.85),
    "moderate": Pace(),
    "fast": Pace(sentences=4),
}
"""By the API's `learning_pace`."""

_PATIENCE: dict[Level, float] = {"A1": 1.25, "A2": 1.1, "B1": 1.0, "B2": 1.0}
"""Factor of a pace's patience, by level: beginners look for words in the middle of sentences."""

_FLUENCY = "fluency"
"""The area of focus that corrections must not interrupt."""

_DUE_SHOWN = 5
"""Topics that a learner's page shows as due."""

_LONGEST_TOPIC = 100
"""Characters of such a topic that it shows: the API may have any."""


class Specialists(BaseModel):
    """The specialist to call for each kind of error, by agent name; null for none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grammar: str | None = Field(
        default=None, description="for a mistake made twice, or when the learner asks"
    )
    pronunciation: str | None = Field(
        default=None,
        description="for a sound that returns as wrong, answers hard to recognise, or when the"
        " learner asks",
    )

    @property
    def by_speciality(self) -> dict[Speciality, str]:
        """The agent names that there are."""
        names: dict[Speciality, str | None] = {
            "grammar": self.grammar,
            "pronunciation": self.pronunciation,
        }
        return {speciality: name for speciality, name in names.items() if name}


class ConversationSettings(BaseModel):
    """The section `settings:` of this tutor's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: str = Field(default="auto", description="a scenario's name, or `auto`")

    level: Level | None = Field(
        default=None, description="A1, A2, B1 or B2, or null to estimate it from words learned"
    )

    recasts: Literal["auto", "always", "repeated", "never"] = Field(
        default="auto",
        description="when a mistake is corrected at once: `always`, from the second of a kind "
        "(`repeated`), `never`, or `auto`, which is `repeated` for a focus on fluency",
    )

    specialists: Specialists = Field(
        default=Specialists(), description="agent names of the tutors that it may call"
    )

    scorer: str | None = Field(
        default=None,
        pattern=r"^https?://",
        description="address of a speech server that scores pronunciation, such as"
        " http://127.0.0.1:8085/v1; without one, how the learner sounds has no consequences",
    )

    model_sees: bool = Field(
        default=False, description="whether the language model gets the learner's picture"
    )

    @field_validator("scenario")
    @classmethod
    def _known(cls, name: str) -> str:
        names = ["auto", *sorted({scenario.name for scenario in load_scenarios()})]
        if name not in names:
            raise ValueError(f"write one of {', '.join(names)}")
        return name


@hookimpl
def register_tutor() -> Tutor[ConversationSettings]:
    """Declare a tutor that enters every new room."""
    return Tutor(name="conversation", settings=ConversationSettings, video=True)


@hookimpl
async def create_agent(lesson: Lesson[ConversationSettings]) -> Agent:
    """Plan the lesson, or go on with the one that an earlier process began."""
    settings, context, now = lesson.settings, lesson.context, datetime.now(UTC)
    scenario = choose(lesson.language, settings.scenario, context, settings.level)
    course = _course(lesson, scenario.level)
    if "conversation" in lesson.state:
        state = ConversationState.model_validate(lesson.state["conversation"])
    else:
        state = plan_lesson(scenario, context, now)
    sounds = SpokenSounds.model_validate(lesson.state.get("sounds") or {})
    opening = Opening(state, greeting(state, course, context, now), sounds)
    address = settings.scorer
    scorer = PronunciationScorer(address, AsyncClient()) if address else None
    return ConversationTutor(lesson, course, opening, scorer)


@hookimpl
async def on_user_ready(lesson: Lesson) -> None:
    """Show what is due again, greet, and ask the first question."""
    if due := due_topics(lesson.context.session_history, datetime.now(UTC)):
        shown = tuple(topic[:_LONGEST_TOPIC] for topic in due[:_DUE_SHOWN])
        lesson.show(DueTopics(topics=shown))
    lesson.get_agent(ConversationTutor).greet()


@hookimpl
async def on_progress_tick(lesson: Lesson, tick: Tick) -> Progress:
    """Count what the learner has said so far, and set the clock."""
    tutor = lesson.get_agent(ConversationTutor)
    tutor.clock.set(tick.seconds)
    return progress(tutor.state, tutor.course, tutor.sounds)


@hookimpl
async def on_session_end(lesson: Lesson) -> LessonReport | None:
    """Report words, topics and grammar that the learner really used."""
    if lesson.agent is None:
        return None
    tutor = lesson.get_agent(ConversationTutor)
    unlocked = lesson.context.progress.achievements_unlocked
    return report(tutor.state, tutor.course, unlocked, tutor.sounds)


def _course(lesson: Lesson[ConversationSettings], level: Level) -> Course:
    context, settings = lesson.context, lesson.settings
    preferences = context.preferences
    pace = _PACES[preferences.learning_pace or "moderate"]
    learner = LearnerProfile(
        native=native_code(preferences.native_language),
        known=frozenset(it for past in context.session_history for it in past.topics_covered),
        name=next(iter(tokens(lesson.learner.display_name or "")), ""),
        pace=replace(pace, patience=pace.patience * _PATIENCE[level]),
        recast_from=_recast_from(settings.recasts, preferences),
    )
    ranked = rank(lesson.language, context, settings.level)
    names = tuple(scenario.name for scenario in ranked)
    return Course(lesson.language, learner, names, settings.specialists.by_speciality)


def _recast_from(wanted: str, preferences: Preferences) -> int | None:
    """Return the mistake of a kind from which on recasts are made."""
    if wanted == "auto":
        wanted = "repeated" if _FLUENCY in preferences.focus_areas else "always"
    return {"always": 1, "repeated": 2, "never": None}[wanted]
