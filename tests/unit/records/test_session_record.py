"""The record of a lesson: valid whatever the tutor reported."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.contract.records import LessonReport, Performance, Progress, SessionRecord
from loqua_host.records.achievements import judge_performance
from loqua_host.records.ledger import Kind, LessonRow
from loqua_host.records.session_record import compose_record, has_failed, merge_progress
from loqua_host.settings.rules import Bounds, RecordRules

labels = st.lists(st.text(min_size=1, max_size=200).filter(str.strip), max_size=3).map(tuple)
counts = st.integers(0, 100_000)
progresses = st.builds(
    Progress,
    words_learned=counts,
    phrases_practiced=counts,
    pronunciation_score=st.none() | st.floats(0, 100),
    grammar_points=labels,
)
reports = st.builds(
    LessonReport,
    progress=st.none() | progresses,
    topics_covered=labels,
    grammar_points=labels,
    pronunciation_practice_count=counts,
    performance=st.none() | st.sampled_from(Performance),
    achievements=labels,
    recommendations=labels,
)


def lesson(progress: Progress | None) -> LessonRow:
    """Return a lesson that ended with this progress."""
    return LessonRow("id", "visit", "visit", "maria", "room", "tutor", "agent", 0.0, 0.0, progress)


@given(
    progress=st.none() | progresses,
    report=st.none() | reports,
    seconds=st.floats(0, 1e9),
)
def test_any_lesson_makes_a_record(
    progress: Progress | None, report: LessonReport | None, seconds: float
) -> None:
    """Also one of many days; the record survives its way through the ledger."""
    record = compose_record(lesson(progress), report, seconds).record
    assert record.duration_minutes <= 1440
    assert abs(record.duration_minutes - min(seconds / 60, 1440)) < 0.01
    assert SessionRecord.model_validate_json(record.model_dump_json()) == record


def test_a_tutors_reasons_are_kept_apart_from_those_that_may_be_logged() -> None:
    """They may quote the learner. One for nothing that is in the record is dropped."""
    report = LessonReport(
        achievements=("cafe",),
        recommendations=("Remember: yo soy",),
        reasons={"Remember: yo soy": "said 'yo es'", "cafe": "answered", "other": "gone"},
    )
    composed = compose_record(lesson(None), report, 60)

    assert composed.quoted_reasons == ("cafe: answered", "Remember: yo soy: said 'yo es'")
    assert not any("yo es" in reason for reason in composed.reasons)


def test_a_lesson_that_ran_for_thirty_hours_counts_as_a_day() -> None:
    """The API accepts no more, and still needs a record."""
    assert compose_record(lesson(None), None, 30 * 3600).record.duration_minutes == 1440


def test_a_lesson_without_report_is_recorded_by_its_last_progress() -> None:
    """The record contains no other values."""
    progress = Progress(phrases_practiced=4, pronunciation_score=90, grammar_points=("articles",))
    record = compose_record(lesson(progress), None, 60).record
    assert record.grammar_points == ("articles",)
    assert record.overall_performance is Performance.EXCELLENT
    assert (record.topics_covered, record.new_vocabulary, record.achievements) == ((), (), ())


def test_a_reports_progress_counts_only_as_what_the_lesson_ended_with() -> None:
    """Progress that was refused does not come in by the report."""
    refused = LessonReport(progress=Progress(pronunciation_score=100, grammar_points=("all",)))
    record = compose_record(lesson(Progress(pronunciation_score=10)), refused, 60).record
    assert record.overall_performance is Performance.NEEDS_IMPROVEMENT
    assert record.grammar_points == ()


@given(last=progresses, new=progresses)
def test_counts_never_fall(last: Progress, new: Progress) -> None:
    """A count below an earlier one raises an error with the field's name."""
    fell = [
        field
        for field in ("words_learned", "phrases_practiced")
        if getattr(new, field) < getattr(last, field)
    ]
    if fell:
        with pytest.raises(ValueError, match=rf"progress.{fell[0]}: fell from"):
            merge_progress(last, new)
    else:
        assert merge_progress(last, new) is new


@given(progresses)
def test_the_first_progress_counts_whatever_it_is(new: Progress) -> None:
    """There is nothing to fall from."""
    assert merge_progress(None, new) is new


@pytest.mark.parametrize(
    ("progress", "performance"),
    [
        (Progress(pronunciation_score=100), Performance.EXCELLENT),
        (Progress(pronunciation_score=85), Performance.EXCELLENT),
        (Progress(pronunciation_score=84.9), Performance.GOOD),
        (Progress(pronunciation_score=70), Performance.GOOD),
        (Progress(pronunciation_score=50), Performance.FAIR),
        (Progress(pronunciation_score=1), Performance.NEEDS_IMPROVEMENT),
        (Progress(pronunciation_score=0, phrases_practiced=1), Performance.NEEDS_IMPROVEMENT),
        (Progress(pronunciation_score=0), Performance.FAIR),
        (Progress(phrases_practiced=1), Performance.GOOD),
        (Progress(), Performance.FAIR),
    ],
)
def test_performance_follows_the_score_or_else_the_practice(
    progress: Progress, performance: Performance
) -> None:
    """The thresholds are inclusive."""
    assert judge_performance(LessonReport(), progress).value is performance


@given(progress=progresses, word=st.sampled_from(Performance))
def test_the_tutors_own_word_outweighs_the_score(progress: Progress, word: Performance) -> None:
    """It heard the lesson."""
    assert judge_performance(LessonReport(performance=word), progress).value is word


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_better_score_is_never_judged_worse(one: float, other: float) -> None:
    """Monotone over the whole range."""
    order = list(Performance)
    low, high = sorted((one, other))
    judge: Callable[[float], int] = lambda score: order.index(  # noqa: E731  # only here
        judge_performance(
            LessonReport(), Progress(phrases_practiced=1, pronunciation_score=score)
        ).value
    )
    assert judge(high) <= judge(low)


@pytest.mark.parametrize(
    ("minutes", "words", "status"),
    [(10, 5, Kind.COMPLETED), (9.9, 5, Kind.FAILED), (10, 4, Kind.FAILED), (60, 0, Kind.FAILED)],
)
def test_an_interrupted_lesson_is_completed_by_rule(
    minutes: float, words: int, status: Kind
) -> None:
    """Each bound must have been reached; without a rule it failed."""
    row, seconds = lesson(Progress(words_learned=words)), minutes * 60
    rules = RecordRules(completed_when=Bounds(minutes=10, words_learned=5))
    assert compose_record(row, None, seconds, rules, failed=True).outcome is status
    assert compose_record(row, None, seconds, failed=True).outcome is Kind.FAILED
    assert compose_record(row, None, seconds, rules, failed=False).outcome is Kind.COMPLETED
    nothing = compose_record(lesson(None), None, 0, rules, failed=True)
    assert nothing.reasons[0] == "failed: the lesson did not reach minutes"


@pytest.mark.parametrize(
    ("reason", "failed"),
    [
        ("learner_left", False),
        ("all_repeated", False),
        ("time_is_up", False),
        ("voice_failed", True),
        ("job_failed", True),
        ("create_agent_failed", True),
        ("on_user_ready_failed", True),
    ],
)
def test_a_lesson_whose_tutor_could_not_go_on_has_failed(reason: str, failed: bool) -> None:
    """The record's status depends on it."""
    assert has_failed(reason) is failed


def test_a_lesson_in_which_nothing_happened_blames_nobody() -> None:
    """It may have failed before its first words or have a silent learner."""
    for failed in (True, False):
        record = compose_record(lesson(None), None, 5, failed=failed).record
        assert record.overall_performance is Performance.FAIR
