"""The course of a practice, without any voice."""

from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host import LessonReport, Word
from loqua_tutor_pronunciation.exercises import plan
from loqua_tutor_pronunciation.practice import (
    PracticeState,
    advance,
    is_done,
    is_expected,
    line,
    progress,
    report,
)
from loqua_tutor_pronunciation.scoring import Assessment

PLAN = plan("es", count=2, lessons_before=0)
START = PracticeState(lessons_before=0)
DOG, HOUSE = (exercise.text for exercise in PLAN.exercises)


def practice(*tries: str) -> PracticeState:
    """The state after these tries."""
    *_, state = accumulate(tries, lambda state, text: advance(state, PLAN, text), initial=START)
    return state


def test_a_sentence_is_given_to_repeat() -> None:
    """The first exercise comes without a verdict."""
    assert line(START, PLAN) == f"Repite: {DOG}"


def test_a_right_try_is_praised_and_followed_by_the_next() -> None:
    """All words recognised: on to the next exercise."""
    assert line(practice(DOG), PLAN) == f"¡Muy bien! Repite: {HOUSE}"


def test_a_miss_names_the_words_and_gives_a_second_try() -> None:
    """The learner hears what was not recognised."""
    missed = practice(DOG, "El casa es muy grande.")
    assert line(missed, PLAN) == f"Casi. No he reconocido: La. Otra vez: {HOUSE}"


def test_there_is_no_third_try() -> None:
    """A second miss is let pass."""
    assert line(practice("hola", "hola"), PLAN) == f"Seguimos. Repite: {HOUSE}"


def test_words_that_were_recognised_are_no_score() -> None:
    """A recogniser repairs what it hears: without a scorer nobody knows how it sounded."""
    state = practice(DOG, "El casa es muy grande.", HOUSE)
    assert is_done(state, PLAN)
    assert progress(state).pronunciation_score is None
    assert report(state, PLAN, None).pronunciation_practice_count == 0
    assert "10 de 11" in line(state, PLAN)


def test_the_score_is_the_mean_of_the_scored_tries() -> None:
    """An exercise with two scored tries is one practice."""
    state = advance(START, PLAN, "hola", Assessment.model_validate({"PronScore": 50}))
    state = advance(state, PLAN, DOG, Assessment.model_validate({"PronScore": 81}))
    state = advance(state, PLAN, HOUSE)
    assert progress(state).pronunciation_score == 65.5
    assert report(state, PLAN, None).pronunciation_practice_count == 1


def test_nothing_tried_is_no_score() -> None:
    """None, not zero."""
    assert progress(START).pronunciation_score is None


def test_an_exercise_under_way_is_counted_once() -> None:
    """Exercises are counted, not tries."""
    assert progress(practice("hola")).phrases_practiced == 1
    assert progress(practice("hola", "hola")).phrases_practiced == 1


def test_the_report_says_what_happened() -> None:
    """Exercises, score, the words that were recognised, and those to practise."""
    state = practice(DOG, "El casa es muy grande.", HOUSE)
    assert report(state, PLAN, "german") == LessonReport(
        progress=progress(state),
        topics_covered=("pronunciation",),
        new_vocabulary=(
            Word(word="perro", translation="Hund", language="es"),
            Word(word="casa", translation="Haus", language="es"),
        ),
        pronunciation_practice_count=0,
        recommendations=("Practise saying these words: La",),
        reasons={
            "Practise saying these words: La": ("not recognised at the first try: 1 of 11 words")
        },
    )


def test_a_word_that_was_never_recognised_is_not_learned() -> None:
    """Two misses of the word: it is not in the vocabulary."""
    state = practice("El gato corre por el parque.", "El gato corre por el parque.")
    assert report(state, PLAN, None).new_vocabulary == ()


def test_later_lessons_go_on_where_earlier_ones_ended() -> None:
    """Three lessons of three of eight exercises: the third starts over at the end."""
    lessons = [plan("es", count=3, lessons_before=before).exercises for before in range(3)]
    everything = plan("es", count=20, lessons_before=0).exercises
    assert [*lessons[0], *lessons[1], *lessons[2]] == [*everything, everything[0]]


def test_a_language_without_exercises_is_refused_with_what_to_do() -> None:
    """The error names the file to add."""
    with pytest.raises(LookupError, match=r"languages/tlh\.toml"):
        plan("tlh", count=1, lessons_before=0)


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_exercise_contains_its_word(language: str) -> None:
    """The word to take along is one to say."""
    for exercise in plan(language, count=20, lessons_before=0).exercises:
        assert exercise.word in exercise.text.casefold()


@given(st.lists(st.sampled_from([DOG, HOUSE, "hola", "", "La casa"]), max_size=8))
def test_counts_never_fall_whatever_is_said(tries: list[str]) -> None:
    """Progress only grows, and the tutor always has something to say."""
    steps = list(accumulate(tries, lambda state, text: advance(state, PLAN, text), initial=START))
    for before, after in pairwise(map(progress, steps)):
        assert after.phrases_practiced >= before.phrases_practiced
        assert after.words_learned >= before.words_learned
    assert line(steps[-1], PLAN)
    assert PracticeState.model_validate_json(steps[-1].model_dump_json()) == steps[-1]


def test_asked_words_come_each_in_a_sentence_and_alone() -> None:
    """An exercise that there is, or one made for the word; no more than a lesson has."""
    asked = plan("es", count=2, lessons_before=3, words=("ciudad", "zapato", "mesa"))
    assert [(one.word, one.text) for one in asked.exercises] == [
        ("ciudad", "El tren llega a la ciudad."),
        ("zapato", "Digo la palabra zapato."),
    ]


def test_an_asked_word_without_translation_is_practised_and_not_reported_as_learned() -> None:
    """The API wants a translation with each new word."""
    asked = plan("es", count=2, lessons_before=0, words=("zapato",))
    state = advance(START, asked, "Digo la palabra zapato.")
    assert is_done(state, asked)
    told = report(state, asked, "english")
    assert (told.new_vocabulary, told.pronunciation_practice_count) == ((), 0)


def test_a_sentence_is_complete_when_each_word_was_recognised() -> None:
    """Then nothing has to follow it; at the end nothing is expected."""
    assert is_expected(START, PLAN, DOG.upper())
    assert not is_expected(START, PLAN, DOG.rpartition(" ")[0])
    assert not is_expected(practice(DOG, HOUSE), PLAN, HOUSE)
