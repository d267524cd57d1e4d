"""Agents written for LiveKit alone: with a text model, or with a realtime model."""

from typing import Any

import pytest

from loqua_host.testing import (
    CallsTool,
    KillJob,
    Leaves,
    LessonExpectations,
    LessonResult,
    LessonScript,
    Returns,
    Says,
    StaysSilent,
    TutorCalls,
    TutorSays,
    Types,
    play_lesson,
)
from loqua_host.testing.steps import LessonStep

TUTORS = "tests.unit.testing.lesson_tutors"

FAIL = CallsTool("fail")

MODELS = pytest.mark.parametrize("realtime", [False, True], ids=["pipeline", "realtime"])


def play(agent: str, *steps: LessonStep, **fields: Any) -> LessonResult:
    """Play a lesson with an agent of the tests."""
    return play_lesson(LessonScript(agent=f"{TUTORS}:{agent}", steps=steps, **fields))


def practised(result: LessonResult) -> int:
    """Return how many phrases a recorded lesson counts."""
    assert result.record is not None
    assert result.progress is not None
    return result.progress.phrases_practiced


@MODELS
def test_spoken_and_typed_turns_count_as_progress(*, realtime: bool) -> None:
    """Both are in the transcript."""
    result = play(
        "Chatter",
        *(TutorSays("¿Qué tal?"), Says("Muy bien."), TutorSays("Me alegro.")),
        *(Types("hola"), TutorSays("¡Hola!"), StaysSilent(31)),
        replies=("¿Qué tal?", "Me alegro.", "¡Hola!"),
        realtime=realtime,
    )
    assert result.ticks[0].phrases_practiced == 2
    assert practised(result) == 2


@MODELS
def test_a_silent_learner_is_asked_and_then_left(*, realtime: bool) -> None:
    """A model that speaks by itself says it, as there is no other voice."""
    result = play(
        "Chatter",
        *(StaysSilent(70), TutorSays(matches="still there|ahí"), StaysSilent(130)),
        replies=("¿Qué tal?",),
        realtime=realtime,
    )
    assert result.reason == "learner_silent"


@MODELS
def test_a_crashed_lesson_goes_on_with_what_was_said(*, realtime: bool) -> None:
    """The next job's model gets the conversation, and progress does not fall."""
    result = play(
        "Chatter",
        *(Says("Uno."), StaysSilent(31), KillJob(), Says("Dos."), TutorSays("Sigue.")),
        replies=("¿Qué tal?", "Bien.", "Seguimos.", "Sigue."),
        realtime=realtime,
    )
    assert result.hooks.count("create_agent") == 2
    assert practised(result) == 2
    assert result.calls.count("sessions") == 1


@MODELS
def test_a_failed_model_is_replaced_by_that_of_another_job(*, realtime: bool) -> None:
    """A realtime model cannot have fallbacks; the lesson has."""
    result = play(
        "InterruptedModel",
        *(Says("Uno."), StaysSilent(40), Says("Dos."), TutorSays(matches="Sigue"), StaysSilent(31)),
        replies=("¿Qué tal?", CallsTool("lose_voice"), "Seguimos.", "Sigue."),
        realtime=realtime,
    )
    assert result.hooks.count("create_agent") == 2
    assert result.record is not None


@MODELS
def test_the_learner_who_is_away_is_not_heard(*, realtime: bool) -> None:
    """And is answered once back."""
    result = play(
        "Chatter",
        *(Leaves(), StaysSilent(10), Returns(), Says("Uno."), TutorSays("Bien.")),
        replies=("¿Qué tal?", "Bien."),
        realtime=realtime,
    )
    assert result.hooks.count("create_agent") == 1


@MODELS
def test_a_specialist_has_the_floor_alone(*, realtime: bool) -> None:
    """The agent gives the floor away, and gets the result."""
    play(
        "SpecialistCallingTutor",
        *(Says("Ayuda."), TutorCalls("grammar-expert"), TutorSays("Bien hecho.")),
        replies=("¿Qué tal?", CallsTool("call"), "Bien hecho."),
        realtime=realtime,
    )


@MODELS
def test_a_lesson_goes_on_with_the_agent_that_was_handed_over_to(*, realtime: bool) -> None:
    """Hooks, progress, recovery and record are the lesson's, whichever agent speaks."""
    drill = CallsTool("start_drill", {"topic": "ser"})
    result = play(
        "Receptionist",
        *(Says("Quiero."), TutorSays("Drill."), Says("Bien."), TutorSays("Sigue.")),
        *(StaysSilent(31), KillJob(), Says("Más."), TutorSays("Adiós.")),
        replies=("¿Qué tal?", drill, "Drill.", "Sigue.", "Otra vez.", "Adiós."),
        realtime=realtime,
    )
    assert practised(result) == 3
    assert result.calls.count("sessions") == 1


@MODELS
def test_a_failure_of_the_agent_that_took_over_is_noticed(*, realtime: bool) -> None:
    """It is reported like a failure of the first agent."""
    play(
        "Receptionist",
        *(Says("Quiero."), Says("Bien."), TutorSays("Ups.")),
        replies=("¿Qué tal?", CallsTool("start_drill", {"topic": "ser"}), "Drill.", FAIL, "Ups."),
        realtime=realtime,
        expect=LessonExpectations(failures=("DrillTutor.fail: raised ValueError",)),
    )


@MODELS
def test_a_group_of_tasks_is_part_of_the_lesson(*, realtime: bool) -> None:
    """Turns in it count, and the agent goes on with its result."""
    result = play(
        "Receptionist",
        *(Says("Hola."), TutorSays("¿Qué nivel?"), Says("B1."), TutorSays("Tu nivel es B1.")),
        *(Says("Gracias."), TutorSays("De nada.")),
        replies=(
            *("¿Qué tal?", CallsTool("ask_level"), "¿Qué nivel?"),
            *(CallsTool("note", {"level": "B1"}), "Tu nivel es B1.", "De nada."),
        ),
        realtime=realtime,
    )
    assert practised(result) == 3


def test_an_agent_asks_its_mcp_server() -> None:
    """The server is another process, and the test waits for its answer."""
    result = play(
        "Translator",
        *(Says("¿Qué es perro?"), TutorSays("Perro means dog.")),
        replies=(CallsTool("translate", {"word": "perro"}), "Perro means dog."),
    )
    assert result.failures == ()


def test_turns_of_an_agent_without_a_language_model_count_too() -> None:
    """LiveKit adds a turn to the conversation together with the model's answer."""
    result = play("Echo", Says("Uno."), TutorSays("Has dicho: Uno."), Types("dos"), StaysSilent(31))
    assert result.ticks[-1].phrases_practiced == 2
    assert practised(result) == 2


@pytest.mark.parametrize("silence", [1, 31], ids=["before a tick", "after a tick"])
def test_turns_count_once_after_a_crash(silence: float) -> None:
    """The next job recalls them; progress is saved with each tick only."""
    result = play("Echo", Says("Uno."), StaysSilent(silence), KillJob(), Says("Dos."))
    assert practised(result) == 2
