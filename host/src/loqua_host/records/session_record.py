"""Composition of the session record from a lesson and its tutor's report; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from loqua_host.contract.learner import LearnerContext
from loqua_host.contract.records import LessonReport, Progress, SessionRecord
from loqua_host.settings.rules import RecordRules

from .achievements import Derived, facts_of, judge_performance, recommend, unlock
from .rows import Kind, LessonRow

__all__ = ["Composed", "compose_record", "has_failed", "merge_progress"]

MAX_MINUTES = 1440.0

MAX_LABELS = 100
"""Maximum of achievements, and of recommendations, in a record."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A record, its lesson's outcome, and the reasons for derived values.

    Attributes:
        outcome: COMPLETED or FAILED, the same for the API, metrics and logs.
        progress: The final progress. A failed lesson always has one, because only progress tells
            the API about the failure.
        reasons: Why the host derived what it did; they quote nobody.
        quoted_reasons: The tutor's own reasons, which may quote the learner and are not logged.
    """

    record: SessionRecord
    outcome: Kind
    progress: Progress | None
    reasons: tuple[str, ...]
    quoted_reasons: tuple[str, ...] = ()


def compose_record(
    lesson: LessonRow,
    report: LessonReport | None,
    seconds: float,
    rules: RecordRules | None = None,
    context: LearnerContext | None = None,
    *,
    failed: bool = False,
) -> Composed:
    """Compose the record from the report, or without one from the last progress.

    Args:
        lesson: The lesson, with its final progress.
        report: The tutor's report, if there is one.
        seconds: The seconds taught; the record contains at most a day.
        rules: The rules for what the host adds.
        context: The learner's context, if the API returned one; its achievements are not new.
        failed: Whether the lesson lost its tutor, or failed otherwise.
    """
    report_or_empty = report or LessonReport()
    rules = rules or RecordRules()
    progress = lesson.progress or Progress()
    minutes = min(round(seconds / 60, 2), MAX_MINUTES)
    facts = facts_of(progress, minutes, context, resumed=lesson.restarts > 0)
    judged = judge_performance(report_or_empty, progress, rules.grades)
    unlocked = context.progress.achievements_unlocked if context else ()
    earned = [new for new in unlock(rules.achievements, facts) if new.value not in unlocked]
    advised = list(recommend(rules.recommendations, facts))
    record = SessionRecord(
        session_id=lesson.session_id,
        duration_minutes=minutes,
        topics_covered=report_or_empty.topics_covered,
        new_vocabulary=report_or_empty.new_vocabulary,
        grammar_points=report_or_empty.grammar_points or progress.grammar_points,
        pronunciation_practice_count=report_or_empty.pronunciation_practice_count,
        overall_performance=judged.value,
        achievements=_joined(report_or_empty.achievements, (new.value for new in earned)),
        next_session_recommendations=_joined(
            report_or_empty.recommendations, (new.value for new in advised)
        ),
    )
    reasons = [f"{new.value}: {new.reason}" for new in (*earned, *advised)]
    reasons.insert(0, f"{judged.value}: {judged.reason}")
    if report is None:
        reasons.insert(0, "no report: as the last progress says")
    own = (*record.achievements, *record.next_session_recommendations)
    quoted = tuple(
        f"{it}: {report_or_empty.reasons[it]}" for it in own if it in report_or_empty.reasons
    )
    if not failed:
        return Composed(record, Kind.COMPLETED, lesson.progress, tuple(reasons), quoted)
    outcome = _judge_failed(facts, rules)
    reasons.insert(0, f"{outcome.value}: {outcome.reason}")
    return Composed(record, outcome.value, progress, tuple(reasons), quoted)


def has_failed(reason: str) -> bool:
    """Return whether a lesson that ended for this reason failed, such as `voice_failed`."""
    return reason.endswith("_failed")


def _judge_failed(facts: Mapping[str, float], rules: RecordRules) -> Derived[Kind]:
    """Return whether a failed lesson has reached enough to count as completed, and why."""
    least = rules.completed_when.given()
    missed = [fact for fact, bound in least.items() if facts.get(fact, 0.0) < bound]
    if missed or not least:
        return Derived(
            Kind.FAILED, f"the lesson did not reach {missed[0]}" if missed else "no rule"
        )
    kept = (f"{fact} is {facts[fact]:g}, of {bound:g}" for fact, bound in least.items())
    return Derived(Kind.COMPLETED, "; ".join(kept))


def _joined(own: Iterable[str], derived: Iterable[str]) -> tuple[str, ...]:
    return tuple(islice(dict.fromkeys([*own, *derived]), MAX_LABELS))


def merge_progress(last: Progress | None, new: Progress) -> Progress:
    """Return the new progress if it is valid after the last one.

    Raises:
        ValueError: If a count has decreased; the message names the field and both values.
    """
    if last is None:
        return new
    for field in ("words_learned", "phrases_practiced"):
        before, after = getattr(last, field), getattr(new, field)
        if after < before:
            raise ValueError(f"progress.{field}: fell from {before} to {after}")
    return new
