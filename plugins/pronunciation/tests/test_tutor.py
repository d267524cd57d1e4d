"""The pronunciation tutor in a running voice session without audio."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest
from livekit import rtc

import loqua_tutor_pronunciation
from loqua_host import Handover, Learner, LearnerContext, Lesson, PastSession, Tutor
from loqua_tutor_pronunciation import (
    PronunciationSettings,
    create_agent,
    on_progress_tick,
    on_session_end,
    register_tutor,
)
from loqua_tutor_pronunciation.tutor import PronunciationTutor

MakeLesson = Callable[..., Lesson]
Taught = Callable[[Lesson], AbstractAsyncContextManager[Any]]


def test_the_tutor_comes_when_it_is_called() -> None:
    """It is dispatched by name."""
    assert register_tutor() == Tutor(
        name="pronunciation", agent_name="pronunciation-specialist", settings=PronunciationSettings
    )


async def test_a_whole_lesson_is_heard_and_ended(make_lesson: MakeLesson, taught: Taught) -> None:
    """Two exercises, one miss, and a goodbye with the figures; without sound no score."""
    lesson = make_lesson(settings=PronunciationSettings(exercises=2))
    async with taught(lesson) as room:
        assert room.last.endswith("Repite: El perro corre por el parque.")
        assert "La casa" in await room.say("El perro corre por el parque.")
        assert "No he reconocido: La" in await room.say("El casa es muy grande.")
        assert "10 de 11" in await room.say("La casa es muy grande.")
        assert await lesson.ended() == "exercises_done"
        report = await on_session_end(lesson)
        assert report is not None
        assert report.pronunciation_practice_count == 0


async def test_a_pause_does_not_end_the_try(make_lesson: MakeLesson, taught: Taught) -> None:
    """Speech that continues before the reply is heard belongs to the same try."""
    lesson = make_lesson(settings=PronunciationSettings(exercises=1))
    async with taught(lesson) as room:
        await room.say_and_go_on("El perro corre")
        assert "6 de 6" in await room.say("por el parque.")
        assert await lesson.ended() == "exercises_done"


async def test_a_goodbye_that_is_not_heard_ends_nothing(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """The lesson waits for what the learner goes on to say."""
    lesson = make_lesson(settings=PronunciationSettings(exercises=1))
    async with taught(lesson) as room:
        await room.say_and_go_on("El perro corre por el parque.")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lesson.ended(), 0.1)


async def test_a_resumed_lesson_goes_on_where_it_was(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """Another process goes on with the same exercises, counts and all."""
    first = make_lesson()
    async with taught(first) as room:
        await room.say("El perro corre por el parque.")
    meanwhile = PastSession(session_id="s", topics_covered=("pronunciation",))
    second = make_lesson(
        resumed=True,
        state=dict(first.state),
        context=LearnerContext(session_history=(meanwhile,)),
    )
    async with taught(second) as room:
        assert room.last == "Seguimos. ¡Muy bien! Repite: La casa es muy grande."
        assert (await on_progress_tick(second)).phrases_practiced == 1


async def test_a_lesson_that_never_began_reports_nothing(make_lesson: MakeLesson) -> None:
    """Without an agent there is nothing to tell."""
    assert await on_session_end(make_lesson()) is None


async def test_a_language_without_exercises_fails_before_the_lesson(
    make_lesson: MakeLesson,
) -> None:
    """The host apologises then; the error says what to do."""
    with pytest.raises(LookupError, match="add languages/"):
        await create_agent(make_lesson(language="tlh"))


async def test_a_called_specialist_begins_with_the_words_it_was_called_for(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """They are the whole lesson."""
    lesson = make_lesson(handover=Handover(tutor="conversation", words=("ciudad",)))
    async with taught(lesson) as room:
        assert room.last.endswith("Repite: El tren llega a la ciudad.")
        assert "Hemos terminado" in await room.say("El tren llega a la ciudad.")
        assert await lesson.ended() == "exercises_done"


async def test_what_another_learner_says_is_no_try(make_lesson: MakeLesson, taught: Taught) -> None:
    """It is not scored as the sound of the learner whose lesson it is."""
    lesson = make_lesson()
    async with taught(lesson) as room:
        exercise = room.last.partition(":")[2].strip()
        other = Learner(user_id="user_2", identity="other")
        assert exercise in await room.say(exercise, other)
        assert (await on_progress_tick(lesson)).phrases_practiced == 0


async def test_what_is_typed_is_answered_and_not_scored(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """It says nothing of how it would have sounded."""
    lesson = make_lesson()
    async with taught(lesson) as room:
        exercise = room.last.partition(":")[2].strip()
        assert exercise in await room.type(exercise)
        assert (await on_progress_tick(lesson)).phrases_practiced == 0
        await room.say(exercise)
        assert (await on_progress_tick(lesson)).phrases_practiced == 1


FRAME = rtc.AudioFrame(bytes(2400), 24_000, 1, 1200)
"""50 ms of the learner's audio."""

SCORED = {"NBest": [{"PronScore": 87.5, "Words": []}]}


LOUD = rtc.AudioFrame(b"\x00\x40" * 1200, 24_000, 1, 1200)


def speak(lesson: Lesson, frame: rtc.AudioFrame = FRAME) -> None:
    """Feed the learner's audio."""
    recorder = lesson.get_agent(PronunciationTutor)._scoring._recorder
    recorder.begin()
    recorder.add(frame)


async def test_the_sound_of_a_try_is_scored(
    make_lesson: MakeLesson, taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the configured server, which gets the sound, the sentence and its language."""
    asked = []

    def score(request: httpx.Request) -> httpx.Response:
        asked.append((str(request.url), request.content))
        return httpx.Response(200, json=SCORED)

    client = partial(httpx.AsyncClient, transport=httpx.MockTransport(score))
    monkeypatch.setattr(loqua_tutor_pronunciation, "AsyncClient", client)
    lesson = make_lesson(
        settings=PronunciationSettings(exercises=1, scorer="http://speech/v1"), language="en"
    )
    async with taught(lesson) as room:
        speak(lesson)
        assert "5 of 5" in await room.say("I like to read books.")
        assert (await on_progress_tick(lesson)).pronunciation_score == 87.5
        report = await on_session_end(lesson)
        assert report is not None
        assert report.pronunciation_practice_count == 1
    ((url, content),) = asked
    assert url == "http://speech/v1/audio/pronunciation"
    assert b"I like to read books." in content
    assert b"RIFF" in content


async def test_a_scorer_out_of_reach_costs_the_score_alone(
    make_lesson: MakeLesson, taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lesson goes on by what was recognised."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client = partial(httpx.AsyncClient, transport=httpx.MockTransport(refuse))
    monkeypatch.setattr(loqua_tutor_pronunciation, "AsyncClient", client)
    lesson = make_lesson(settings=PronunciationSettings(exercises=1, scorer="http://speech/v1"))
    async with taught(lesson) as room:
        speak(lesson)
        assert "6 de 6" in await room.say("El perro corre por el parque.")
        assert (await on_progress_tick(lesson)).pronunciation_score is None


async def test_what_is_typed_is_practised(make_lesson: MakeLesson, taught: Taught) -> None:
    """A text of the learner's own comes before the exercises that are left."""
    lesson = make_lesson()
    async with taught(lesson) as room:
        assert "Repite: Quiero un zapato." in await room.type("Quiero un zapato.")
        assert "Repite: El perro corre por el parque." in await room.say("Quiero un zapato.")


async def test_the_voice_is_slow_when_asked(make_lesson: MakeLesson, taught: Taught) -> None:
    """The sentence comes again, and nothing counts as tried."""
    lesson = make_lesson()
    async with taught(lesson) as room:
        assert "El perro corre por el parque." in await room.say("Más despacio, por favor.")
        assert (await on_progress_tick(lesson)).phrases_practiced == 0
        assert lesson.get_agent(PronunciationTutor).state.slow


async def test_a_learner_who_asks_for_the_sentence_again_hears_it(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """It is no try; an exercise that has the same words is one."""
    lesson = make_lesson()
    async with taught(lesson) as room:
        assert await room.say("¿Puedes repetir, por favor?") == (
            "Repite: El perro corre por el parque."
        )
        assert (await on_progress_tick(lesson)).phrases_practiced == 0
        await room.type("Otra vez, por favor.")
        await room.say("Otra vez, por favor.")
        assert (await on_progress_tick(lesson)).phrases_practiced == 1


async def test_a_try_is_replayed_after_the_model(make_lesson: MakeLesson, taught: Taught) -> None:
    """A try is replayed only if it is to be repeated, and only its speech."""
    lesson = make_lesson()
    async with taught(lesson) as room:
        speak(lesson, LOUD)
        assert (await room.say("El gato corre por el parque.")).endswith("Tú has dicho:")
        assert lesson.get_agent(PronunciationTutor)._try == (LOUD,)
        speak(lesson, LOUD)
        assert "Tú has dicho" not in await room.say("El perro corre por el parque.")


async def test_sounds_that_are_due_are_drilled_first(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """The history of the API says which."""
    weak = PastSession(
        session_id="s",
        date=datetime(2026, 1, 1, tzinfo=UTC),
        topics_covered=("pronunciation", "weak_sound_es_ñ"),
    )
    lesson = make_lesson(context=LearnerContext(session_history=(weak,)))
    async with taught(lesson):
        state = lesson.get_agent(PronunciationTutor).state
        assert state.focus == ("ñ",)
        assert state.exercises[0].sounds == ("ñ",)


async def test_the_calling_tutor_can_hand_a_sound_over(
    make_lesson: MakeLesson, taught: Taught
) -> None:
    """By its name in the language's file; a focus that is no sound is left out."""
    lesson = make_lesson(handover=Handover(tutor="conversation", focus="rr verbs"))
    async with taught(lesson):
        assert lesson.get_agent(PronunciationTutor).state.focus == ("rr",)
