"""Whole lessons with the tutor, on virtual time and without a server."""

from collections.abc import Callable

import pytest
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

FRENCH = {
    "words": [
        {"word": "pomme de terre", "hint": "On en fait des frites.", "translation": "potato"}
    ],
    "repeats": 1,
    "ask": "Qu'est-ce que c'est ? {hint}",
    "right": "Très bien !",
    "goodbye": "Au revoir !",
}


class TestEveryLesson(TutorSuite):
    """The test kit's tests of every tutor."""

    tutor = "vocabulary"
    says = ("Café.", "Una casa.", "No sé.")


def test_the_settings_say_what_is_asked_in_which_language(play_lesson: Play) -> None:
    """A word may be several, and is found in a sentence."""
    script = LessonScript(
        tutor="vocabulary",
        language="fr",
        settings=FRENCH,
        steps=(
            TutorSays("Qu'est-ce que c'est ? On en fait des frites."),
            Says("C'est la pomme de terre."),
            TutorSays("Très bien ! Au revoir !"),
        ),
    )
    result = play_lesson(script)
    assert result.reason == "all_words_known"
    assert result.record is not None
    assert [word.language for word in result.record.new_vocabulary] == ["fr"]


def test_a_lesson_goes_on_after_a_crash(play_lesson: Play) -> None:
    """Another process asks the word that was open, and keeps what is known."""
    script = LessonScript(
        tutor="vocabulary",
        settings={"repeats": 1},
        steps=(
            Says("Café."),
            StaysSilent(40),
            KillJob(),
            TutorSays("¿Qué es? El lugar donde vives."),
            Says("Casa."),
            TutorSays(matches="El día después del domingo"),
        ),
    )
    result = play_lesson(script)
    assert result.progress is not None
    assert (result.progress.words_learned, result.progress.phrases_practiced) == (2, 2)


def test_a_learner_who_pauses_has_given_one_answer(play_lesson: Play) -> None:
    """Nothing is counted twice, even if the learner speaks after the goodbye."""
    script = LessonScript(
        tutor="vocabulary",
        settings=FRENCH,
        steps=(Says("Une pomme."), Says("Une pomme de terre."), TutorSays(matches="Au revoir")),
    )
    result = play_lesson(script)
    assert result.progress is not None
    assert result.progress.phrases_practiced == 2


@pytest.mark.parametrize("words", [[], [{"word": "sol"}]], ids=["none", "no hint"])
def test_settings_that_no_lesson_could_use_are_refused(play_lesson: Play, words: object) -> None:
    """Before any learner meets them."""
    with pytest.raises(ValueError, match="words"):
        play_lesson(LessonScript(tutor="vocabulary", settings={"words": words}))
