"""The session record: composed of a lesson and its tutor's report; pure."""

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
"""How many achievements or recommendations a record has at most."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A record, how its lesson ended, and a line for each thing that the host derived.

    Attributes:
        outcome: COMPLETED or FAILED, the same for the API, metrics and logs.
        progress: The final progress; a lesson that failed has some, for it alone tells the API.
    """

    record: SessionRecord
    outcome: Kind
    progress: Progress | None
    reasons: tuple[str, ...]


def compose_record(
    lesson: LessonRow,
    report: LessonReport | None,
    seconds: float,
    rules: RecordRules | None = None,
    context: LearnerContext | None = None,
    *,
    failed: bool = False,
) -> Composed:
    """Compose the record; without a report it says what the last progress says.

    Args:
        lesson: The lesson, with the progress it ended with.
        report: What the tutor reported at the end, if it did.
        seconds: The time taught; the record counts a day of it at most.
        rules: By which the host adds to what the tutor reported.
        context: The learner's context, if the API gave one; achievements in it are not new.
        failed: Whether it lost its tutor, or its tutor could not go on.
    """
    told = report or LessonReport()
    rules = rules or RecordRules()
    progress = lesson.progress or Progress()
    minutes = min(round(seconds / 60, 2), MAX_MINUTES)
    facts = facts_of(progress, minutes, context, resumed=lesson.restarts > 0)
    judged = judge_performance(told, progress, rules.grades)
    unlocked = context.progress.achievements_unlocked if context else ()
    earned = [new for new in unlock(rules.achievements, facts) if new.value not in unlocked]
    advised = list(recommend(rules.recommendations, facts))
    record = SessionRecord(
        session_id=lesson.session_id,
        duration_minutes=minutes,
        topics_covered=told.topics_covered,
        new_vocabulary=told.new_vocabulary,
        grammar_points=told.grammar_points or progress.grammar_points,
        pronunciation_practice_count=told.pronunciation_practice_count,
        overall_performance=judged.value,
        achievements=_joined(told.achievements, (new.value for new in earned)),
        next_session_recommendations=_joined(told.recommendations, (new.value for new in advised)),
    )
    reasons = [f"{new.value}: {new.reason}" for new in (*earned, *advised)]
    reasons.insert(0, f"{judged.value}: {judged.reason}")
    if report is None:
        reasons.insert(0, "no report: as the last progress says")
    if not failed:
        return Composed(record, Kind.COMPLETED, lesson.progress, tuple(reasons))
    outcome = _judge_failed(facts, rules)
    reasons.insert(0, f"{outcome.value}: {outcome.reason}")
    return Composed(record, outcome.value, progress, tuple(reasons))


def has_failed(reason: str) -> bool:
    """Return whether a lesson that ended for this reason failed, such as `voice_failed`."""
    return reason.endswith("_failed")


def _judge_failed(facts: Mapping[str, float], rules: RecordRules) -> Derived[Kind]:
    """Return whether a lesson that failed came far enough to count as completed all the same."""
    least = rules.completed_when.given()
    missed = [fact for fact, bound in least.items() if facts.get(fact, 0.0) < bound]
    if missed or not least:
        return Derived(Kind.FAILED, f"it did not reach {missed[0]}" if missed else "no rule")
    kept = (f"{fact} is {facts[fact]:g}, of {bound:g}" for fact, bound in least.items())
    return Derived(Kind.COMPLETED, "; ".join(kept))


def _joined(own: Iterable[str], derived: Iterable[str]) -> tuple[str, ...]:
    return tuple(islice(dict.fromkeys([*own, *derived]), MAX_LABELS))


def merge_progress(last: Progress | None, new: Progress) -> Progress:
    """Return the new progress if it counts after the last one.

    Raises:
        ValueError: If a count fell; the message names the field and both values.
    """
    if last is None:
        return new
    for field in ("words_learned", "phrases_practiced"):
        before, after = getattr(last, field), getattr(new, field)
        if after < before:
            raise ValueError(f"progress.{field}: fell from {before} to {after}")
    return new
