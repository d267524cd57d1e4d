"""Rules that derive performance, achievements and recommendations of a lesson; pure.

Each derived value has its reason, for the log and for `loqua-host records explain`.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import LessonReport, Performance, Progress
from loqua_host.settings.rules import AchievementRule, Grades, RecommendationRule

__all__ = ["Derived", "facts_of", "judge_performance", "recommend", "unlock"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Derived(Generic[T]):
    """A derived value and its reason, in one line."""

    value: T
    reason: str


def judge_performance(
    report: LessonReport, progress: Progress, grades: Grades | None = None
) -> Derived[Performance]:
    """Return the performance: the tutor's, else by score, else by whether anything was practised.

    If nothing was practised, it is the middle grade.
    """
    if report.performance is not None:
        return Derived(report.performance, "the tutor said so")
    if not _has_practised(report, progress):
        return Derived(Performance.FAIR, "nothing was practised")
    score = progress.pronunciation_score
    if score is not None:
        return _graded(score, grades or Grades())
    return Derived(Performance.GOOD, f"phrases_practiced is {progress.phrases_practiced}")


def _has_practised(report: LessonReport, progress: Progress) -> bool:
    counted = (
        progress.phrases_practiced,
        progress.words_learned,
        progress.pronunciation_score,
        report.pronunciation_practice_count,
        len(progress.grammar_points),
    )
    return any(counted)


def _graded(score: float, grades: Grades) -> Derived[Performance]:
    scale = (
        (Performance.EXCELLENT, grades.excellent),
        (Performance.GOOD, grades.good),
        (Performance.FAIR, grades.fair),
        (Performance.NEEDS_IMPROVEMENT, 0.0),
    )
    grade, least = next((grade, least) for grade, least in scale if score >= least)
    return Derived(grade, f"pronunciation_score is {score:g}, of {least:g}")


def facts_of(
    progress: Progress, minutes: float, context: LearnerContext | None, *, resumed: bool
) -> dict[str, float]:
    """Return the known values for rules.

    Args:
        progress: The final progress.
        minutes: The minutes taught.
        context: The learner's context at the start of the lesson, if the API returned one.
        resumed: Whether that was after a part of the lesson. The context may then include that
            part, so the totals do not add the lesson again.
    """
    facts: dict[str, float] = {
        "minutes": minutes,
        "words_learned": progress.words_learned,
        "phrases_practiced": progress.phrases_practiced,
        "grammar_points": len(set(progress.grammar_points)),
    }
    if progress.pronunciation_score is not None:
        facts["pronunciation_score"] = progress.pronunciation_score
    if context is not None:
        facts |= _totals(context, facts, progress, resumed=resumed)
    return facts


def _totals(
    context: LearnerContext, lesson: Mapping[str, float], progress: Progress, *, resumed: bool
) -> dict[str, float]:
    before, share = context.progress, 0 if resumed else 1
    points = {*before.grammar_points_covered, *(() if resumed else progress.grammar_points)}
    return {
        "minutes_total": before.total_conversation_time + lesson["minutes"],
        "words_learned_total": before.words_learned + share * lesson["words_learned"],
        "phrases_practiced_total": before.phrases_practiced + share * lesson["phrases_practiced"],
        "grammar_points_total": len(points),
        "sessions_total": before.total_sessions + 1,
        "first_session": before.total_sessions == 0,
        "streak_days": before.current_streak,
    }


def unlock(rules: Iterable[AchievementRule], facts: Mapping[str, float]) -> Iterator[Derived[str]]:
    """Yield the achievements for which all minimum values are reached, in order."""
    for rule in rules:
        bounds = rule.when.given()
        if all(facts.get(fact, -math.inf) >= bound for fact, bound in bounds.items()):
            yield Derived(rule.name, _reason(facts, bounds, "of"))


def recommend(
    rules: Iterable[RecommendationRule], facts: Mapping[str, float]
) -> Iterator[Derived[str]]:
    """Yield the recommendations for which all values are below their bounds, in order."""
    for rule in rules:
        bounds = rule.below.given()
        if all(facts.get(fact, math.inf) < bound for fact, bound in bounds.items()):
            yield Derived(rule.say, _reason(facts, bounds, "below"))


def _reason(facts: Mapping[str, float], bounds: Mapping[str, float], how: str) -> str:
    return "; ".join(
        f"{fact} is {facts[fact]:g}, {how} {bound:g}" for fact, bound in bounds.items()
    )
