"""What follows from a lesson's report, as pure functions."""

from loqua_host.contract.records import LessonReport, Performance, Progress

__all__ = ["judge_performance"]

PERFORMANCE_FROM_SCORE = (
    (85.0, Performance.EXCELLENT),
    (70.0, Performance.GOOD),
    (50.0, Performance.FAIR),
)


def judge_performance(report: LessonReport, progress: Progress) -> Performance:
    """Judge the lesson: by the tutor's own word, else by score, else by having practised."""
    if report.performance is not None:
        return report.performance
    score = progress.pronunciation_score
    if score is None:
        return Performance.GOOD if progress.phrases_practiced else Performance.NEEDS_IMPROVEMENT
    return next(
        (grade for least, grade in PERFORMANCE_FROM_SCORE if score >= least),
        Performance.NEEDS_IMPROVEMENT,
    )
