"""Whole lessons with the tutor, on virtual time and without a server."""

from collections.abc import Callable

from loqua_host.testing import (
    KillJob,
    LessonResult,
    LessonScript,
    Says,
    StaysSilent,
    TutorSays,
    TutorSuite,
)

Play = Callable[[LessonScript], LessonResult]


class TestEveryLesson(TutorSuite):
    """The test kit's tests of every tutor."""

    tutor = "sample"
    language = "en"
    says = ("My name is Ana.", "I live in Lima.", "I like music.")


def test_the_settings_say_what_is_asked(play_lesson: Play) -> None:
    """One question ends the lesson after one answer."""
    script = LessonScript(
        tutor="sample",
        settings={"questions": ["How are you?"], "goodbye": "Bye!"},
        steps=(TutorSays("How are you?"), Says("Fine."), TutorSays("Bye!")),
    )
    result = play_lesson(script)
    assert result.reason == "all_answered"
    assert result.progress is not None
    assert result.progress.phrases_practiced == 1


def test_a_lesson_goes_on_after_a_crash(play_lesson: Play) -> None:
    """Another process asks the question that was open, and keeps the count."""
    script = LessonScript(
        tutor="sample",
        steps=(
            Says("My name is Ana."),
            StaysSilent(40),
            KillJob(),
            TutorSays("Where do you live?"),
            Says("I live in Lima."),
            TutorSays("What do you like to do?"),
        ),
    )
    result = play_lesson(script)
    assert result.record is not None
    assert result.progress is not None
    assert result.progress.phrases_practiced == 2
