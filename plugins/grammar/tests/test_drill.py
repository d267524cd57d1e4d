"""Exercises as data, and the choice of the next one."""

import asyncio

import pytest
from pydantic import ValidationError

from loqua_tutor_grammar.check import Checker
from loqua_tutor_grammar.drill import GrammarExercise, load_drill, select_exercise
from loqua_tutor_grammar.explanation import message_keys
from loqua_tutor_grammar.rules import RuleEngine

LANGUAGES = ("en", "es", "fr")
EXERCISES = [
    pytest.param(language, exercise, id=f"{language}-{number}")
    for language in LANGUAGES
    for number, exercise in enumerate(load_drill(language, 1).exercises)
    if exercise.expects
]


@pytest.mark.parametrize(("language", "exercise"), EXERCISES)
def test_the_right_answer_is_right(language: str, exercise: GrammarExercise) -> None:
    """It has what is expected, the engines find nothing in it, and its message is known."""
    assert exercise.is_answered_by(exercise.model)
    assert exercise.message in message_keys()
    assert asyncio.run(Checker((RuleEngine(),)).check(exercise.model, language)) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_questions_are_asked_once(language: str) -> None:
    """No two are the same."""
    asked = [exercise.ask for exercise in load_drill(language, 1).exercises]
    assert len(set(asked)) == len(asked)


def test_an_answer_is_judged_by_its_words() -> None:
    """Not by case, punctuation or what is around them."""
    exercise = GrammarExercise(
        topic="t",
        grammar_point="p",
        ask="?",
        expects=("está aquí",),
        model="Está aquí.",
        message="m",
    )
    assert exercise.is_answered_by("Sí, ESTÁ aquí!")
    assert not exercise.is_answered_by("está aquíto")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="neither"),
        pytest.param({"shows": ["a"], "expects": ["a"], "model": "a", "message": "m"}, id="both"),
        pytest.param({"expects": ["a"], "model": "b", "message": "m"}, id="wrong_model"),
        pytest.param({"expects": ["a"], "model": "a"}, id="no_message"),
    ],
)
def test_an_exercise_that_cannot_be_judged_is_refused(fields: dict[str, object]) -> None:
    """With what to write."""
    with pytest.raises(ValidationError, match="write"):
        GrammarExercise.model_validate({"topic": "t", "grammar_point": "p", "ask": "?"} | fields)


def test_a_language_without_exercises_is_refused_with_what_to_do() -> None:
    """The error names the file to add."""
    with pytest.raises(LookupError, match=r"drills/tlh\.toml"):
        load_drill("tlh", 1)


def points(focus: str, level: int) -> list[str]:
    """Return the points of the first four exercises."""
    drill = load_drill("es", 4, focus)
    done: list[int] = []
    for _ in range(4):
        done.append(select_exercise(drill, done, level))
    return [drill.exercises[at].grammar_point for at in done]


def test_the_focus_comes_first_then_other_points_in_turn() -> None:
    """All exercises on it; a focus that there is none on changes nothing."""
    assert points("ser_estar", 2)[:3] == ["ser_estar"] * 3
    assert points("haikus", 1) == points("", 1)
    assert len(set(points("", 1))) == 4
