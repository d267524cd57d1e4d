"""The grammar tutor in a running voice session without audio."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from livekit.agents import AgentSession, llm

from loqua_host import Handover, Learner, Lesson, Tutor
from loqua_tutor_grammar import (
    GrammarSettings,
    create_agent,
    on_progress_tick,
    on_session_end,
    register_tutor,
)

MakeLesson = Callable[..., Lesson]
Taught = Callable[[Lesson], AbstractAsyncContextManager[Any]]


def test_the_tutor_comes_when_it_is_called() -> None:
    """It is dispatched by name."""
    assert register_tutor() == Tutor(
        name="grammar", agent_name="grammar-specialist", settings=GrammarSettings
    )


async def test_a_whole_lesson_is_heard_corrected_and_ended(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """A mistake, its repetition, a right answer, and a goodbye."""
    lesson = make_lesson(settings=GrammarSettings(questions=2))
    async with taught(lesson) as room:
        assert room.last.endswith("¿Qué eres, estudiante o profesor?")
        assert "Yo soy estudiante" in await room.say("Yo es estudiante.")
        assert (await on_progress_tick(lesson)).grammar_points == (
            "present_tense",
            "subject_verb_agreement",
        )
        assert "¡Muy bien!" in await room.say("Yo soy estudiante.")
        assert "Hemos terminado" in await room.say("Me gusta la música.")
        assert await lesson.ended() == "questions_done"
        report = await on_session_end(lesson)
        assert report is not None
        assert report.topics_covered == ("self_introduction", "likes_and_dislikes")


async def test_what_another_learner_says_is_no_answer(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """Their mistake is not put down to the learner whose lesson it is."""
    lesson = make_lesson()
    async with taught(lesson) as room:
        other = Learner(user_id="user_2", identity="other")
        asked = await room.say("Yo es estudiante.", other)
        assert asked.endswith("¿Qué eres, estudiante o profesor?")
        assert (await on_progress_tick(lesson)).phrases_practiced == 0


async def test_a_pause_does_not_end_the_sentence(make_lesson: MakeLesson, taught: Taught) -> None:
    """Speech that continues before the reply is heard belongs to the same sentence."""
    lesson = make_lesson()
    async with taught(lesson) as room:
        await room.say_and_go_on("Yo")
        assert "Yo soy estudiante" in await room.say("es estudiante.")
        assert (await on_progress_tick(lesson)).phrases_practiced == 1


async def test_what_is_said_back_is_bounded(make_lesson: MakeLesson, taught: Taught) -> None:
    """An endless sentence is not repeated at length."""
    async with taught(make_lesson()) as room:
        assert len(await room.say("Yo es estudiante. " * 100)) < 500


async def test_a_resumed_lesson_goes_on_where_it_was(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """Another process still waits for the repetition."""
    first = make_lesson()
    async with taught(first) as room:
        await room.say("Yo es estudiante.")
    second = make_lesson(resumed=True, state=dict(first.state))
    async with taught(second) as room:
        assert room.last.startswith("Seguimos. Casi. Se dice: Yo soy estudiante.")
        await room.say("Yo soy estudiante.")
        assert (await on_progress_tick(second)).phrases_practiced == 2


async def test_a_lesson_that_never_began_reports_nothing(make_lesson: MakeLesson) -> None:
    """Without an agent there is nothing to tell."""
    assert await on_session_end(make_lesson()) is None


async def test_a_language_without_questions_fails_before_the_lesson(
    make_lesson: MakeLesson,
) -> None:
    """The host apologises then; the error says what to do."""
    with pytest.raises(LookupError, match="add drills/"):
        await create_agent(make_lesson(language="tlh"))


async def test_a_called_specialist_begins_with_what_it_was_called_for(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """The topic that kept going wrong."""
    lesson = make_lesson(handover=Handover(tutor="conversation", focus="gustar"))
    async with taught(lesson) as room:
        assert room.last.endswith("¿Qué cosas te gustan?")


async def test_a_language_may_have_exercises_alone(make_lesson: MakeLesson, taught: Taught) -> None:
    """French has no rules: its exercises are judged by what they expect."""
    async with taught(make_lesson(language="fr")) as room:
        assert room.last.endswith("Que dit-on, le maison ou la maison ?")
        assert "On dit : La maison." in await room.say("Le maison.")
        assert "Très bien !" in await room.say("La maison.")


class OneMistakeLLM(llm.LLM[Any]):
    """A language model that finds one mistake."""

    def chat(self, **_: Any) -> Any:
        """Return an answer like a stream's."""
        return self

    async def collect(self) -> llm.CollectedResponse:
        """Return it whole."""
        return llm.CollectedResponse(
            text='[{"wrong": "en la mañana", "right": "por la mañana", "point": "prepositions"}]'
        )


async def test_the_lessons_language_model_is_asked_too(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """Its findings are corrected like those of the rules."""
    lesson = make_lesson(session=AgentSession(llm=OneMistakeLLM()))
    async with taught(lesson) as room:
        said = await room.say("Soy estudiante en la mañana.")
        assert "Soy estudiante por la mañana. Aquí va otra preposición." in said
