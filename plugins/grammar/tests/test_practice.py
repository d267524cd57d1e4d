"""The course of a practice, without any voice."""

from functools import reduce
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loqua_host import LessonReport, Performance
from loqua_tutor_grammar.correction import merge_corrections
from loqua_tutor_grammar.drill import load_drill
from loqua_tutor_grammar.practice import (
    GrammarPracticeState,
    advance,
    begin,
    greeting,
    is_done,
    is_expected,
    line,
    mastery,
    progress,
    report,
)
from loqua_tutor_grammar.rules import load_rules

DRILL = load_drill("es", 3)
START = begin(DRILL)


def say(state: GrammarPracticeState, text: str) -> GrammarPracticeState:
    """Return the state after one more turn."""
    return advance(state, DRILL, text, merge_corrections(load_rules("es").find(text)))


def practice(*turns: str) -> GrammarPracticeState:
    """Return the state after these turns."""
    return reduce(say, turns, START)


def test_a_right_answer_is_praised_and_followed_by_the_next_question() -> None:
    """Praise, then the next question, a harder one."""
    assert line(practice("Yo soy estudiante."), DRILL) == (
        "¡Muy bien! Dilo en plural: me gusta la película."
    )


def test_a_mistake_is_explained_and_said_right() -> None:
    """One reason, the right sentence, and a request to repeat it."""
    assert line(practice("Yo es estudiante."), DRILL) == (
        "Casi. Se dice: Yo soy estudiante. El verbo concuerda con la persona. Repite, por favor."
    )


def test_of_two_mistakes_one_is_explained_and_both_are_set_right() -> None:
    """One correction at a time, but never a wrong sentence to repeat."""
    said = line(practice("Las flores es rojo."), DRILL)
    assert "Las flores son rojas." in said
    assert "El verbo concuerda" in said
    assert "adjetivo" not in said


def test_a_right_repetition_counts_as_corrected() -> None:
    """Found once, corrected once, and on with the next question."""
    state = practice("Yo es estudiante.", "Yo soy estudiante.")
    assert [(m.right, m.corrected) for m in state.closed] == [("soy", True)]
    assert line(state, DRILL) == "¡Muy bien! ¿Qué cosas te gustan?"


@pytest.mark.parametrize("repetition", ["Yo es estudiante.", "Sí.", "Soya."])
def test_a_wrong_repetition_is_let_pass(repetition: str) -> None:
    """It does not count as corrected, and there is no third try."""
    state = practice("Yo es estudiante.", repetition)
    assert [m.corrected for m in state.closed] == [False]
    assert line(state, DRILL) == "Seguimos. ¿Qué cosas te gustan?"


def test_the_report_says_what_happened() -> None:
    """Sentences, topics, points tried and mistaken, and each kind of mistake with its mastery."""
    state = practice(
        "Yo es estudiante.", "Yo soy estudiante.", "Me gusta los libros.", "Sí.", "La casa es roja."
    )
    assert is_done(state, DRILL)
    points = (
        "present_tense",
        "subject_verb_agreement",
        "gustar",
        "noun_adjective_agreement",
    )
    verb = "The verb agrees with its subject: yo soy, ella es (subject_verb_agreement: 1/2)"
    gustar = (
        "With gustar, the verb agrees with the thing that pleases: me gustan los libros "
        "(gustar: 0/2)"
    )
    assert report(state, "english") == LessonReport(
        progress=progress(state),
        topics_covered=("self_introduction", "likes_and_dislikes", "home"),
        grammar_points=points,
        performance=Performance.NEEDS_IMPROVEMENT,
        recommendations=(verb, gustar),
        reasons={
            verb: "times corrected: 1, at last to 'soy'",
            gustar: "times corrected: 1, at last to 'gustan'",
        },
    )
    assert progress(state).phrases_practiced == 5
    assert progress(state).grammar_points == points
    assert mastery(state) == {
        "present_tense": (1, 1),
        "subject_verb_agreement": (1, 2),
        "gustar": (0, 2),
        "noun_adjective_agreement": (1, 1),
    }


def test_advice_is_given_in_the_learners_language() -> None:
    """English stands in where there is none."""
    state = practice("Yo es estudiante.")
    (french,) = report(state, "french").recommendations
    assert french.startswith("Le verbe s'accorde")
    assert report(state, None) == report(state, "english")


def test_nothing_said_is_not_judged() -> None:
    """The host finds its own word for it."""
    assert report(START, None).performance is None


def test_faultless_answers_are_excellent() -> None:
    """The share of answers without a mistake decides."""
    state = practice("Soy estudiante.", "Me gustan las películas.", "Ana es alta y simpática.")
    assert report(state, None).performance is Performance.EXCELLENT


def test_a_point_that_the_answer_did_not_try_is_not_covered() -> None:
    """Points come from what was said, not from what was asked."""
    assert practice("Hola, buenos días.").points == ()


def test_silence_is_no_sentence() -> None:
    """A turn in which nothing was recognised changes nothing."""
    assert practice("", " … ") == START


TURNS = st.one_of(
    st.sampled_from(["Yo es Ana.", "Yo soy Ana.", "Las flores es rojo.", "Me gusta.", "{0} {"]),
    st.text(max_size=40),
)


@settings(deadline=None)
@given(st.lists(TURNS, max_size=10))
def test_counts_never_fall_whatever_is_said(turns: list[str]) -> None:
    """Progress only grows, and the tutor always has something to say."""
    steps = list(accumulate(turns, say, initial=START))
    for before, after in pairwise(steps):
        assert after.phrases >= before.phrases
        assert after.points[: len(before.points)] == before.points
        assert line(after, DRILL)
        assert greeting(after, DRILL)
    assert GrammarPracticeState.model_validate_json(steps[-1].model_dump_json()) == steps[-1]


FOCUSED = load_drill("es", 4, "ser_estar")


def answer(state: GrammarPracticeState, *turns: str) -> GrammarPracticeState:
    """Return the state of a practice of the focus, in which only the exercises judge."""
    return reduce(lambda before, text: advance(before, FOCUSED, text, ()), turns, state)


def test_exercises_grow_harder_as_they_succeed() -> None:
    """Right answers lead from the first level to the third, on the point handed over."""
    first = begin(FOCUSED)
    assert line(first, FOCUSED) == "¿Cómo se dice, soy cansado o estoy cansado?"
    second = answer(first, "estoy cansado")
    assert "ser o estar, en España" in line(second, FOCUSED)
    third = answer(second, "Madrid está en España")
    assert "enferma. Di la frase" in line(third, FOCUSED)
    done = answer(third, "Ana es médica y hoy está enferma")
    assert report(done, None).achievements == ("ser_estar_mastered",)
    assert report(done, None).recommendations == ()


def test_after_a_mistake_comes_no_harder_exercise() -> None:
    """The level goes down again, as far as there are easier ones."""
    state = answer(begin(FOCUSED), "soy cansado", "estoy cansado")
    asked = [FOCUSED.exercises[at].level for at in state.asked]
    assert asked == [1, 2]
    state = answer(state, "no sé", "no sé")
    assert FOCUSED.exercises[state.asked[-1]].level == 3
    assert mastery(state) == {"ser_estar": (1, 4)}


def test_an_answer_without_what_was_asked_for_is_set_right() -> None:
    """The right answer, why, and a request to repeat it."""
    assert line(answer(begin(FOCUSED), "soy cansado"), FOCUSED) == (
        "Casi. Se dice: Estoy cansado. Los estados y los lugares van con estar. Repite, por favor."
    )


def test_an_answer_with_what_is_asked_for_or_repeated_is_complete() -> None:
    """An open question has no answer that is complete by its words."""
    plural = practice("Yo soy estudiante.")
    again = practice("Yo es estudiante.")
    assert is_expected(plural, DRILL, "Me gustan las películas.")
    assert not is_expected(plural, DRILL, "Me gustan")
    assert is_expected(again, DRILL, "yo soy estudiante")
    assert not is_expected(again, DRILL, "Yo soy")
    assert not is_expected(START, DRILL, "Yo soy estudiante.")
