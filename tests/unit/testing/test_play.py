"""Scripted lessons: scripts that authors write, and mistakes that the kit finds."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from loqua_host.contract.handoff import Handover
from loqua_host.contract.learner import LearnerContext, Preferences
from loqua_host.testing import (
    CallsTool,
    FailApi,
    Joins,
    KillJob,
    Leaves,
    LessonExpectations,
    LessonFailedError,
    LessonScript,
    RestartHost,
    Returns,
    Says,
    ScriptError,
    StaysSilent,
    TutorCalls,
    TutorSays,
    Types,
    play_lesson,
)
from loqua_host.testing.steps import LessonStep
from loqua_host.testing.voice import ScriptedLLM

ECHO = "tests.unit.testing.lesson_tutors:Echo"


STUBBORN = """
import asyncio, contextlib
from livekit.agents import Agent
from loqua_host import Tutor, hookimpl

@hookimpl
def register_tutor():
    return Tutor(name="NAME")

async def go_on(hook):
    while hook == "HOOK":
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(PAUSE)

@hookimpl
async def create_agent(lesson):
    await go_on("create_agent")
    return Agent(instructions="")

@hookimpl
async def on_user_ready(lesson):
    await go_on("on_user_ready")

@hookimpl
async def on_progress_tick(lesson):
    await go_on("on_progress_tick")

@hookimpl
async def on_session_end(lesson):
    await go_on("on_session_end")
"""


def echo(*steps: LessonStep, **fields: Any) -> LessonScript:
    """Return a script for the tutor that repeats what is said."""
    return LessonScript(agent=ECHO, steps=steps, **fields)


def test_a_lesson_is_taught_from_the_greeting_to_the_record() -> None:
    """Hooks, ticks, record and calls are those of the host."""
    result = play_lesson(echo(TutorSays("¡Hola!"), Says("Uno."), StaysSilent(31), Types("dos")))
    assert result.tutor_said == ("¡Hola!", "Has dicho: Uno.", "Has dicho: dos")
    assert [one.text for one in result.said if one.speaker == "learner"] == ["Uno.", "dos"]
    assert (result.hooks[0], result.hooks[-1]) == ("create_agent", "on_session_end")
    assert result.reason == "learner_left"
    assert result.record is not None
    assert result.record.duration_minutes > 0.5
    assert result.calls == ("user-token", "context", "progress", "progress", "progress", "sessions")


def test_the_tutor_ends_the_lesson() -> None:
    """It does not wait for the learner to return."""
    result = play_lesson(echo(Says("Adiós."), TutorSays("Has dicho: Adiós.")))
    assert result.reason == "said_goodbye"


def test_who_speaks_to_a_tutor_that_has_left_is_told_so() -> None:
    """With the step, and the lesson up to there."""
    with pytest.raises(LessonFailedError, match=r"step 2, .*the tutor has left") as failed:
        play_lesson(echo(Says("Adiós."), Says("¿Hola?")))
    assert "tutor: Has dicho: Adiós." in str(failed.value)


def test_steps_after_the_end_can_be_left_out() -> None:
    """For what is said to any tutor."""
    assert play_lesson(echo(Says("Adiós."), Says("¿Hola?"), until_end=True)).record is not None


def test_a_killed_job_is_replaced_and_the_lesson_goes_on() -> None:
    """One record, with what the first job counted."""
    result = play_lesson(
        echo(Says("Uno."), StaysSilent(31), KillJob(), TutorSays("¡Otra vez!"), Says("Dos."))
    )
    assert result.hooks.count("create_agent") == 2
    assert result.calls.count("sessions") == 1
    assert result.record is not None
    assert result.record.duration_minutes > 0.5


def test_a_host_that_dies_restores_the_lesson_when_it_serves_again() -> None:
    """From its ledger, once the lease of the dead process has expired; one record arrives."""
    result = play_lesson(
        echo(Says("Uno."), StaysSilent(31), RestartHost(), TutorSays("¡Otra vez!"), Says("Dos."))
    )
    assert result.hooks.count("create_agent") == 2
    assert result.calls.count("sessions") == 1


def test_a_slow_answer_is_found() -> None:
    """In virtual seconds, with the end of the turn."""
    expect = LessonExpectations(answers_within=0.5)
    [seconds] = play_lesson(echo(Says("Uno."), expect=expect)).answer_seconds
    assert 0 <= seconds <= 0.15  # LiveKit takes off what passed in real time
    with pytest.raises(LessonFailedError, match=r"answers_within: expected 0\.5 s, not 1\.\d\d s"):
        play_lesson(echo(Says("Uno."), Says("Piensa."), expect=expect))


@pytest.mark.parametrize("right", [True, False], ids=["right", "wrong"])
def test_a_language_model_judges_what_the_tutor_means(*, right: bool) -> None:
    """All that it has said since the last match; the judge gives its reason."""
    verdict = CallsTool("check_intent", {"success": right, "reason": "it greets"})
    script = echo(TutorSays(means="asks for the name"))
    if right:
        play_lesson(script, judge=ScriptedLLM([verdict]))
        return
    with pytest.raises(
        LessonFailedError, match=r"means 'asks for the name', but '¡Hola!': .*greets"
    ):
        play_lesson(script, judge=ScriptedLLM([verdict]))


def test_a_meaning_without_a_judge_is_refused() -> None:
    """It cannot be decided."""
    with pytest.raises(ScriptError, match="needs a judge"):
        play_lesson(echo(TutorSays(means="greets")))


def test_a_lesson_that_is_repeated_must_go_well_each_time() -> None:
    """A tutor may keep something from lesson to lesson, or leave something to chance."""
    script = LessonScript(
        agent="tests.unit.testing.lesson_tutors:VaryingGreeting", steps=(TutorSays("¡Hola!"),)
    )
    play_lesson(script.model_copy(update={"repeat": 2}))
    with pytest.raises(LessonFailedError, match="Otra vez tú"):
        play_lesson(script.model_copy(update={"repeat": 2}))


def test_a_learner_who_returns_goes_on() -> None:
    """Within the reconnect timeout; the words of nobody are not heard."""
    result = play_lesson(echo(Leaves(), StaysSilent(10), Returns(), Says("Uno.")))
    assert result.tutor_said == ("¡Hola!", "Has dicho: Uno.")
    assert result.hooks.count("create_agent") == 1


def test_a_second_learner_is_heard_by_a_tutor_that_hears_all() -> None:
    """The record is the first one's; the other's turns have their name."""
    script = LessonScript(
        agent="tests.unit.testing.lesson_tutors:Round",
        audio_input="all",
        steps=(
            TutorSays("1 here."),
            Joins("ana", "Ana"),
            Says("Hola.", learner="ana"),
            TutorSays("Ana of 2: Hola."),
            Says("Buenas."),
            TutorSays("maria of 2: Buenas."),
            Types("adiós", learner="ana"),
            TutorSays("Ana of 2: adiós"),
            Leaves("ana"),
            Says("¿Y yo?"),
            TutorSays("maria of 1: ¿Y yo?"),
        ),
    )
    result = play_lesson(script)
    assert [one.learner for one in result.said if one.speaker == "learner"] == [
        *("ana", "maria", "ana", "maria")
    ]
    assert set(result.records) == {"maria"}


def test_a_second_learner_is_not_heard_by_a_tutor_that_hears_one() -> None:
    """It teaches the other once the first has left, in a lesson of its own."""
    result = play_lesson(
        echo(
            Joins("ana"),
            Says("Hola.", learner="ana"),
            Types("hola", learner="ana"),
            Says("Uno."),
            Leaves(),
            StaysSilent(45),
            Says("Dos.", learner="ana"),
            StaysSilent(31),
            expect=LessonExpectations(records={"ana": {"topics_covered": ()}}),
        )
    )
    assert result.tutor_said == ("¡Hola!", "Has dicho: Uno.", "¡Hola!", "Has dicho: Dos.")
    assert set(result.records) == {"maria", "ana"}


def test_a_learner_who_has_not_entered_says_nothing() -> None:
    """The message says what to write."""
    with pytest.raises(LessonFailedError, match="write `joins: ana` before"):
        play_lesson(echo(Says("Hola.", learner="ana")))


def test_a_learner_who_stays_away_ends_the_lesson() -> None:
    """After the timeout."""
    result = play_lesson(echo(Leaves(), StaysSilent(31), reconnect_timeout=20))
    assert result.reason == "learner_left"


def test_what_an_outage_holds_up_arrives_after_it() -> None:
    """The lesson is taught without the learner's context, and nothing is lost."""
    context = LearnerContext(preferences=Preferences(language_learning="spanish"))
    result = play_lesson(echo(FailApi(503, 20), Says("Uno."), StaysSilent(31), context=context))
    assert (result.calls[0], result.calls[-1]) == ("user-token", "sessions")
    assert any(one["event"] == "lesson.without_api" for one in result.log)


def test_an_outage_in_the_middle_delays_the_progress_only() -> None:
    """The delay is as long as the outage."""
    result = play_lesson(echo(FailApi(503, 1), FailApi(503, 1), StaysSilent(25), FailApi(503, 60)))
    assert result.record is not None


def test_a_called_specialist_comes_and_hands_back() -> None:
    """The tutor is silent meanwhile, and goes on after it."""
    call = TutorCalls("grammar-expert", focus="articles")
    result = play_lesson(echo(Says("Ayuda."), call, TutorSays("Ya estás aquí: taught.")))
    assert result.record is not None


@pytest.mark.parametrize("outcome", ["absent", "failed"])
def test_a_specialist_who_does_not_teach_is_reported(outcome: Any) -> None:
    """The script says that it does not."""
    call = TutorCalls("grammar-expert", outcome=outcome)
    play_lesson(echo(Says("Ayuda."), call, TutorSays(f"Ya estás aquí: {outcome}.")))


def test_a_specialist_whom_the_script_does_not_have_is_refused() -> None:
    """A host refuses an unknown name in the same way."""
    play_lesson(echo(Says("Ayuda."), TutorSays("No hay nadie.")))


def test_a_wrong_call_is_found() -> None:
    """With what the tutor asked for instead."""
    with pytest.raises(LessonFailedError, match="called with focus 'articles'"):
        play_lesson(echo(Says("Ayuda."), TutorCalls("grammar-expert", focus="gustar")))


def test_a_missing_call_is_found() -> None:
    """After a while."""
    with pytest.raises(LessonFailedError, match="the tutor called nobody"):
        play_lesson(echo(Says("Uno."), TutorCalls("grammar-expert")))


def test_a_called_specialist_gets_its_handover() -> None:
    """It has the form of a dispatch's metadata."""
    script = LessonScript(
        tutor="grammar",
        handover=Handover(tutor="conversation", focus="gustar"),
        steps=(TutorSays(matches=r"¿Qué cosas te gustan\?$"),),
    )
    assert play_lesson(script).hooks[0] == "create_agent"


def test_time_stands_still_while_a_thread_works() -> None:
    """Otherwise a tutor that computes in a thread would be overtaken by its lesson."""
    result = play_lesson(echo(Says("Duerme."), TutorSays("Has dicho: Duerme.")))
    assert "on_progress_tick" in result.hooks


def test_a_language_model_answers_what_the_script_says() -> None:
    """For agents that leave the words to one."""
    script = LessonScript(
        agent="tests.unit.testing.lesson_tutors:Chatter",
        replies=("¿Qué tal?", "Me alegro."),
        steps=(TutorSays("¿Qué tal?"), Says("Muy bien."), TutorSays("Me alegro.")),
        expect=LessonExpectations(progress={"phrases_practiced": 1}),
    )
    play_lesson(script)


def test_an_exception_of_the_tutor_fails_the_lesson_and_is_its_cause() -> None:
    """The author sees where it was raised."""
    with pytest.raises(LessonFailedError, match=r"failed: .*raised ValueError") as failed:
        play_lesson(echo(Says("Error.")))
    assert isinstance(failed.value.__cause__, ValueError)


@pytest.mark.parametrize("pause", ["3600", "0"], ids=["waiting", "spinning"])
@pytest.mark.parametrize(
    "hook", ["create_agent", "on_user_ready", "on_progress_tick", "on_session_end"]
)
def test_a_hook_that_swallows_cancellation_is_named(
    install: Callable[[str, str], None], hook: str, pause: str
) -> None:
    """The lesson still ends without a delay."""
    name = f"stubborn-{hook.replace('_', '-')}-{pause}"
    install(name, STUBBORN.replace("HOOK", hook).replace("PAUSE", pause).replace("NAME", name))
    with pytest.raises(LessonFailedError) as failed:
        play_lesson(LessonScript(tutor=name, steps=(Says("Uno."), StaysSilent(31), KillJob())))
    message = r"^go_on at .*\.py:\d+ goes on after it was cancelled; let CancelledError through$"
    assert re.search(message, str(failed.value), re.MULTILINE)


def test_an_agent_that_swallows_cancellation_is_named() -> None:
    """LiveKit waits for it when it closes the session."""
    with pytest.raises(
        LessonFailedError, match=r"IgnoresCancellation\.on_enter at lesson_tutors\.py:\d+ goes"
    ):
        play_lesson(LessonScript(agent="tests.unit.testing.lesson_tutors:IgnoresCancellation"))


def test_an_expected_failure_is_none() -> None:
    """The host goes on, and so may the script."""
    expect = LessonExpectations(failures=("on_user_turn_completed: raised ValueError",))
    play_lesson(echo(Says("Error."), Says("Uno."), TutorSays("Has dicho: Uno."), expect=expect))


def test_a_failure_that_does_not_happen_is_missed() -> None:
    """It was expected."""
    with pytest.raises(LessonFailedError, match="expected 'create_agent', which did not fail"):
        play_lesson(echo(expect=LessonExpectations(failures=("create_agent",))))


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ({"reason": "bored"}, "reason: expected bored, not learner_left"),
        ({"hooks": ("on_session_end",)}, "hooks: expected"),
        ({"calls": ()}, "calls: expected"),
        ({"progress": {"words_learned": 7}}, "progress.words_learned: expected 7, not 0"),
        ({"record": {"topics": ()}}, "record: has no 'topics'; it has session_id"),
    ],
    ids=["reason", "hooks", "calls", "progress", "record"],
)
def test_what_comes_of_a_lesson_is_compared(expect: Any, problem: str) -> None:
    """Each field that is given."""
    with pytest.raises(LessonFailedError, match=problem.replace("[", r"\[")):
        play_lesson(echo(Says("Uno."), expect=LessonExpectations(**expect)))


def test_what_the_tutor_did_not_say_is_named() -> None:
    """Beside what it said."""
    with pytest.raises(LessonFailedError, match=r"did not say 'Adiós.', but \['¡Hola!'\]"):
        play_lesson(echo(TutorSays("Adiós.")))
