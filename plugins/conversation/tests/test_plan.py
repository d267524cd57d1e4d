"""The plan of a lesson: level, history, reviews that are due, and the greeting."""

from datetime import UTC, datetime, timedelta

import pytest

from loqua_host import LearnerContext, LearningProgress, PastSession, Preferences
from loqua_tutor_conversation.course import Course
from loqua_tutor_conversation.native import native_code
from loqua_tutor_conversation.plan import greeting, plan_lesson
from loqua_tutor_conversation.review import due_topics
from loqua_tutor_conversation.scenario import Level
from loqua_tutor_conversation.selection import choose, estimate_level

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CAFE = choose("es", "cafe", LearnerContext())


def past(days: float, *topics: str) -> PastSession:
    """Return a session so many days ago."""
    return PastSession(
        session_id=f"s{days}", date=NOW - timedelta(days=days), topics_covered=topics
    )


def greet(context: LearnerContext) -> str:
    """Return the greeting of a café lesson."""
    return greeting(plan_lesson(CAFE, context, NOW), Course("es"), context, NOW)


@pytest.mark.parametrize(
    ("words", "level"),
    [(0, "A1"), (249, "A1"), (250, "A2"), (800, "B1"), (5000, "B2")],
    ids=str,
)
def test_the_level_is_estimated_from_the_words_learned(words: int, level: Level) -> None:
    """The API has no level."""
    assert estimate_level(LearningProgress(words_learned=words)) == level


@pytest.mark.parametrize("level", ["A1", "A2", "B1", "B2"])
@pytest.mark.parametrize("language", ["es", "en"])
def test_a_scenario_fits_the_level(language: str, level: Level) -> None:
    """A configured level counts more than the estimated one."""
    assert choose(language, "auto", LearnerContext(), level).level == level


def test_what_the_learner_talked_about_before_comes_later() -> None:
    """A scenario whose topics came up in a past session gives way to a new one."""
    context = LearnerContext(session_history=(past(9, "x"), past(20, *CAFE.topics)))
    assert choose("es", "auto", context).name == "directions"


def test_no_topic_comes_twice_in_a_row() -> None:
    """Rather a scenario of another level."""
    everything = [past(day, "restaurant", "family", "travel", "directions") for day in (1, 2)]
    context = LearnerContext(session_history=tuple(everything))
    assert choose("es", "auto", context).level == "A2"


def test_the_focus_decides_between_equally_new_scenarios() -> None:
    """A learner who wants to travel gets directions."""
    context = LearnerContext(preferences=Preferences(focus_areas=("travel",)))
    assert choose("es", "auto", context).name == "directions"


def test_a_language_without_scenarios_is_refused_with_what_to_do() -> None:
    """The error names the folder and the setting."""
    with pytest.raises(LookupError, match=r"add scenarios/tlh/NAME\.toml, or set `scenario`"):
        choose("tlh", "auto", LearnerContext())


def test_a_topic_is_due_when_it_was_long_ago_and_later_after_each_review() -> None:
    """The longest overdue comes first; a future date is a mistake."""
    assert due_topics([past(0.5, "travel")], NOW) == ()
    assert due_topics([past(5, "family"), past(30, "travel")], NOW) == ("travel", "family")
    reviewed = [past(days, "travel") for days in (40, 30, 5)]
    assert due_topics(reviewed, NOW) == ()
    assert due_topics([past(-3, "travel"), PastSession(session_id="s")], NOW) == ()


def test_what_is_due_opens_the_lesson() -> None:
    """A turn about it; not what the scenario itself has, and nothing harder than that."""
    context = LearnerContext(session_history=(past(30, "travel", "restaurant", "environment"),))
    state = plan_lesson(CAFE, context, NOW)
    assert state.plan[:2] == ("directions.where", "cafe.name")


@pytest.mark.parametrize(("minutes", "reviews"), [(5, 0), (15, 1), (45, 2), (120, 3)], ids=str)
def test_a_longer_lesson_reviews_more(minutes: float, reviews: int) -> None:
    """It reviews at most the words that are due."""
    topics = ("travel", "transport", "family", "home", "age", "making_plans")
    context = LearnerContext(
        preferences=Preferences(session_length_preference=minutes),
        session_history=(past(30, *topics),),
    )
    assert len(plan_lesson(CAFE, context, NOW).plan) == len(CAFE.turns) + reviews


def test_the_first_greeting_introduces_the_tutor() -> None:
    """There is nothing to remember."""
    assert greet(LearnerContext()) == "¡Hola! Soy tu tutor. Hoy vamos a un café."


def test_a_greeting_remembers_the_last_session_and_the_streak() -> None:
    """The latest one counts, wherever it is in the list."""
    context = LearnerContext(
        progress=LearningProgress(current_streak=5, last_session_date=NOW - timedelta(days=1)),
        session_history=(past(9, "family", "age", "home"), past(1, "travel", "directions")),
    )
    assert greet(context) == (
        "¡Hola de nuevo! La última vez hablamos de un viaje a Madrid. "
        "Llevas 5 días seguidos, ¡muy bien! Primero, un repaso."
    )


def test_a_streak_that_has_ended_is_not_praised() -> None:
    """The API's figure is of the last session."""
    progress = LearningProgress(current_streak=5, last_session_date=NOW - timedelta(days=9))
    assert "5" not in greet(LearnerContext(progress=progress))


@pytest.mark.parametrize(
    ("name", "code"),
    [("english", "en"), ("en-GB", "en"), ("Deutsch", "de"), ("", None), (None, None), ("\0", None)],
    ids=["name", "region", "own_name", "empty", "unknown", "control"],
)
def test_a_native_language_is_a_name_or_a_code(name: str | None, code: str | None) -> None:
    """The API does not say which."""
    assert native_code(name) == code
