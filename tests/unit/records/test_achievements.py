"""Achievements and recommendations by declarative rules, each with its reason."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loqua_host.contract.learner import LearnerContext, LearningProgress
from loqua_host.contract.records import LessonReport, Progress
from loqua_host.records.ledger import LessonRow
from loqua_host.records.session_record import Composed, compose_record
from loqua_host.settings.rules import Bounds, RecordRules

CONFIG = Path(__file__).parents[3] / "config"


def rules(**written: object) -> RecordRules:
    """Return rules as config has them."""
    return RecordRules.model_validate(written)


def composed(
    rules: RecordRules,
    progress: Progress | None = None,
    before: LearningProgress | None = None,
    report: LessonReport | None = None,
    restarts: int = 0,
) -> Composed:
    """Compose the record of a lesson of half an hour."""
    ids = ("id", "visit", "visit", "maria", "room", "tutor", "agent")
    lesson = LessonRow(*ids, opened_at=0.0, progress=progress, restarts=restarts)
    context = None if before is None else LearnerContext(progress=before)
    return compose_record(lesson, report or LessonReport(), 1800, rules, context)


HUNDRED = {"name": "hundred_words", "when": {"words_learned_total": 100}}


@pytest.mark.parametrize(
    ("before", "now", "reached"), [(95, 5, True), (95, 4, False), (0, 100, True), (200, 0, True)]
)
def test_a_total_counts_the_lesson_in(before: int, now: int, reached: bool) -> None:  # a column
    """The bound itself is enough, and the reason says how far it went."""
    made = composed(
        rules(achievements=[HUNDRED]),
        Progress(words_learned=now),
        LearningProgress(words_learned=before),
    )
    assert made.record.achievements == (("hundred_words",) if reached else ())
    if reached:
        why = f"hundred_words: words_learned_total is {before + now}, of 100"
        assert why in made.reasons


def test_what_is_unlocked_already_is_not_unlocked_again() -> None:
    """The learner's context says so."""
    before = LearningProgress(words_learned=99, achievements_unlocked=("hundred_words",))
    made = composed(rules(achievements=[HUNDRED]), Progress(words_learned=5), before)
    assert made.record.achievements == ()


def test_nothing_is_said_of_totals_that_nobody_knows() -> None:
    """Without the API, or for a lesson found after a crash: what the lesson shows still counts."""
    here = {"name": "talker", "when": {"phrases_practiced": 3}}
    made = composed(
        rules(achievements=[HUNDRED, here]), Progress(words_learned=500, phrases_practiced=3)
    )
    assert made.record.achievements == ("talker",)


def test_an_unknown_score_is_not_a_bad_one() -> None:
    """A lesson without pronunciation gets no recommendation to practise it."""
    say = {"say": "Practise single words", "below": {"pronunciation_score": 50}}
    by = rules(recommendations=[say])
    assert composed(by, Progress()).record.next_session_recommendations == ()
    made = composed(by, Progress(pronunciation_score=49.5))
    assert made.record.next_session_recommendations == ("Practise single words",)
    assert "Practise single words: pronunciation_score is 49.5, below 50" in made.reasons


def test_a_resumed_lesson_is_not_counted_twice() -> None:
    """The context of its second part may have its first part in it."""
    before = LearningProgress(words_learned=60)
    made = composed(rules(achievements=[HUNDRED]), Progress(words_learned=50), before, restarts=1)
    assert made.record.achievements == ()


def test_the_tutors_own_come_first_and_nothing_twice() -> None:
    """A tutor may add what no rule knows."""
    report = LessonReport(achievements=("own", "hundred_words"), recommendations=("rest",))
    say = {"say": "go on", "below": {"minutes": 31}}
    made = composed(
        rules(achievements=[HUNDRED], recommendations=[say]),
        Progress(words_learned=100),
        LearningProgress(),
        report,
    )
    assert made.record.achievements == ("own", "hundred_words")
    assert made.record.next_session_recommendations == ("rest", "go on")


def test_grades_are_configs() -> None:
    """A strict school may have others."""
    by = rules(grades={"excellent": 99, "good": 98, "fair": 97})
    made = composed(by, Progress(pronunciation_score=98.5))
    assert made.record.overall_performance == "good"
    assert made.reasons == ("good: pronunciation_score is 98.5, of 98",)


@pytest.mark.parametrize(
    "written",
    [
        {"achievements": [{"name": "always"}]},
        {"achievements": [{"name": "", "when": {"minutes": 1}}]},
        {"achievements": [{"name": "typo", "when": {"word_total": 1}}]},
        {"achievements": [{"name": "both", "when": {"minutes": 1}, "below": {"minutes": 2}}]},
        {"recommendations": [{"name": "no sentence", "below": {"minutes": 1}}]},
        {"recommendations": [{"say": "always", "below": {}}]},
        {"grades": {"good": 90}},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(written: dict[str, object]) -> None:
    """At the start, not in a lesson."""
    with pytest.raises(ValidationError):
        rules(**written)


@given(
    bound=st.dictionaries(st.sampled_from(sorted(Bounds.model_fields)), st.floats(0, 1000)),
    words=st.integers(0, 1000),
    more=st.integers(0, 1000),
    total=st.integers(0, 1000),
)
def test_who_does_more_never_loses_an_achievement(
    bound: dict[str, float], words: int, more: int, total: int
) -> None:
    """This holds for rules with minima only."""
    by = rules(achievements=[{"name": "it", "when": {**bound, "words_learned": 0}}])
    before = LearningProgress(words_learned=total)
    little = composed(by, Progress(words_learned=words), before).record.achievements
    much = composed(by, Progress(words_learned=words + more), before).record.achievements
    assert set(little) <= set(much)


def test_our_own_rules_are_sound_and_greet_a_first_conversation() -> None:
    """These are the rules in config/host.yaml."""
    written = yaml.safe_load((CONFIG / "host.yaml").read_text("utf-8"))["records"]
    by = rules(**written)
    first = composed(by, Progress(phrases_practiced=2), LearningProgress())
    assert first.record.achievements == ("first_conversation",)
    second = composed(by, Progress(phrases_practiced=2), LearningProgress(total_sessions=1))
    assert second.record.achievements == ()
