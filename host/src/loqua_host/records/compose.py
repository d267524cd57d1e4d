"""From a lesson and its tutor's report to the record that the API is owed; pure."""

from loqua_host.contract.records import LessonReport, Progress, SessionRecord

from .achievements import judge_performance
from .ledger import LessonRow

__all__ = ["compose_record", "merge_progress"]

LONGEST_MINUTES = 1440.0


def compose_record(lesson: LessonRow, report: LessonReport | None, seconds: float) -> SessionRecord:
    """Compose the record; without a report it says what the last progress says.

    Args:
        lesson: The lesson, with the progress it ended with.
        report: What the tutor reported at the end, if it did.
        seconds: The time taught; the record counts a day of it at most.
    """
    told = report or LessonReport()
    progress = lesson.progress or Progress()
    return SessionRecord(
        session_id=lesson.session_id,
        duration_minutes=min(round(seconds / 60, 2), LONGEST_MINUTES),
        topics_covered=told.topics_covered,
        new_vocabulary=told.new_vocabulary,
        grammar_points=told.grammar_points or progress.grammar_points,
        pronunciation_practice_count=told.pronunciation_practice_count,
        overall_performance=judge_performance(told, progress),
        achievements=told.achievements,
        next_session_recommendations=told.recommendations,
    )


def merge_progress(last: Progress | None, new: Progress) -> Progress:
    """Get the new progress if it counts after the last one.

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
