"""The plan of a lesson: reviews that are due, a scenario, and the greeting."""

import math
from datetime import datetime, timedelta

from loqua_host import LearnerContext

from .course import Course, scenario_of, turns_of
from .review import due_topics
from .scenario import Scenario, load_scenarios
from .selection import last_session
from .state import ConversationState

__all__ = ["greeting", "plan_lesson"]

_SHORT_LESSON = 10
"""Minutes below which a lesson has no review."""

_MINUTES_PER_REVIEW = 30
_MAX_REVIEWS = 3

_SURE_TOPICS = 2
"""Topics that a session shares with a scenario before the tutor says what it was about."""

_STREAK_ENDS = timedelta(days=2)
"""Time after the last session at which a streak of days has certainly ended."""


def plan_lesson(scenario: Scenario, context: LearnerContext, now: datetime) -> ConversationState:
    """Return the beginning of a conversation: the turns that are due, then the scenario's.

    A turn is reviewed for each half hour of the learner's preferred length, none in a lesson below
    ten minutes. Topics of the scenario need no review: they come up in it.

    Args:
        scenario: The scenario to talk about.
        context: What the API remembers of the learner.
        now: The time, with its zone.
    """
    minutes = context.preferences.session_length_preference or _SHORT_LESSON
    wanted = math.ceil(minutes / _MINUTES_PER_REVIEW) if minutes >= _SHORT_LESSON else 0
    due = [it for it in due_topics(context.session_history, now) if it not in scenario.topics]
    turns = [turn for topic in due if (turn := _turn_about(topic, scenario))]
    reviews = turns[: min(wanted, _MAX_REVIEWS)]
    return ConversationState(scenario=scenario.name, plan=(*reviews, *turns_of(scenario)))


def greeting(
    state: ConversationState, course: Course, context: LearnerContext, now: datetime
) -> str:
    """Return the words before the first question: hello, last time, streak, and what is first."""
    phrases = course.language.phrases
    last = last_session(context)
    said = [phrases.hello if last is None else phrases.hello_again]
    if last is not None and (title := _title_of(last.topics_covered, course)):
        said.append(phrases.remember.format(title=title))
    if _has_streak(context, now):
        said.append(phrases.streak.format(days=context.progress.current_streak))
    begins = state.plan[0].partition(".")[0] == state.scenario
    said.append(scenario_of(course, state.scenario).opening if begins else phrases.warm_up)
    return " ".join(said)


def _turn_about(topic: str, scenario: Scenario) -> str | None:
    """Return a turn about a topic of another scenario that is no harder, the easiest one."""
    for other in load_scenarios():
        is_other = other.language == scenario.language and other.name != scenario.name
        if is_other and other.level <= scenario.level:
            for turn in other.turns:
                if turn.topic == topic and turn.words:
                    return f"{other.name}.{turn.id}"
    return None


def _title_of(topics: tuple[str, ...], course: Course) -> str | None:
    """Return the title of the scenario that the topics of a session are about."""
    own = [it for it in load_scenarios() if it.language == course.code and it.topic in topics]
    best = max(own, key=lambda it: len(it.topics.intersection(topics)), default=None)
    if best is None or len(best.topics.intersection(topics)) < _SURE_TOPICS:
        return None
    return best.title


def _has_streak(context: LearnerContext, now: datetime) -> bool:
    last = context.progress.last_session_date
    is_recent = last is not None and timedelta(0) <= now - last < _STREAK_ENDS
    return is_recent and context.progress.current_streak > 1
