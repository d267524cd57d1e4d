"""A realtime model in LiveKit's own session, with a loudspeaker."""

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from livekit import rtc
from livekit.agents import Agent, UserInputTranscribedEvent
from livekit.agents.voice.io import AudioOutput, AudioOutputCapabilities

from loqua_host.contract.learner import Learner
from loqua_host.job.lesson.conversation import answer_typed
from loqua_host.job.voice.last_words import LastWords
from loqua_host.job.voice.session import (
    LessonSession,
    apologise,
    build_session,
    say_out,
    switch,
)
from loqua_host.job.voice.vitals import Vitals
from loqua_host.settings.engines import Engines
from loqua_host.testing.realtime import ScriptedRealtime, ScriptedRealtimeSession

LONG = "Una historia muy larga que nadie escucha hasta el final, porque alguien la interrumpe."


class Loudspeaker(AudioOutput):
    """A loudspeaker on virtual time."""

    def __init__(self) -> None:
        super().__init__(label="loudspeaker", capabilities=AudioOutputCapabilities(pause=False))
        self._seconds, self._begun = 0.0, 0.0
        self._ending: asyncio.TimerHandle | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Play a frame after the others."""
        await super().capture_frame(frame)
        if not self._seconds:
            self._begun = asyncio.get_running_loop().time()
            self.on_playback_started(created_at=time.time())
        self._seconds += frame.duration

    def flush(self) -> None:
        """End once all is played."""
        super().flush()
        if self._seconds:
            self._ending = asyncio.get_running_loop().call_later(self._seconds, self._end)

    def clear_buffer(self) -> None:
        """Play no more."""
        if self._ending is not None:
            self._ending.cancel()
        if self._seconds:
            self._end(interrupted=True)

    def _end(self, *, interrupted: bool = False) -> None:
        played = min(self._seconds, asyncio.get_running_loop().time() - self._begun)
        self._seconds, self._ending = 0.0, None
        self.on_playback_finished(playback_position=played, interrupted=interrupted)


@pytest.fixture
def model() -> ScriptedRealtime:
    """Return a model that has one thing to say."""
    return ScriptedRealtime([LONG, "Sí, dime."])


@pytest.fixture
async def session(model: ScriptedRealtime) -> AsyncIterator[LessonSession]:
    """Yield a started session of which nothing but the model gives the voice."""
    session = LessonSession(llm=model)
    session.output.audio = Loudspeaker()
    await session.start(Agent(instructions="Teach."), record=False)
    yield session
    await session.aclose()


def model_session(session: LessonSession) -> ScriptedRealtimeSession:
    """Return the session of the realtime model."""
    listener = session.current_agent.realtime_llm_session
    assert isinstance(listener, ScriptedRealtimeSession)
    return listener


def said(session: LessonSession) -> list[tuple[str, str, bool]]:
    """Return who said what, and whether it was cut off."""
    return [(it.role, it.text_content or "", it.interrupted) for it in session.history.messages()]


async def test_a_learner_who_speaks_interrupts_the_tutor(session: LessonSession) -> None:
    """And the transcript says so."""
    session.generate_reply()
    await asyncio.sleep(1)
    assert session.agent_state == "speaking"
    model_session(session).push_transcript("Perdona.")
    await asyncio.sleep(5)
    spoken = said(session)
    assert ("user", "Perdona.", False) in spoken
    assert ("assistant", LONG, True) in spoken
    assert spoken[-1] == ("assistant", "Sí, dime.", False)


async def test_the_learners_words_are_transcribed(session: LessonSession) -> None:
    """LiveKit publishes the same events as captions."""
    heard: list[str] = []

    def on_heard(event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            heard.append(event.transcript)

    session.on("user_input_transcribed", on_heard)
    model_session(session).push_transcript("Hola.")
    assert heard == ["Hola."]


async def test_the_model_says_what_the_host_has_to_say(session: LessonSession) -> None:
    """There is no other voice; the model's own replies are not used up by it."""
    await say_out(session, "Lo siento.")
    apologise(session, "¿Perdona?")
    await asyncio.sleep(5)
    assert said(session) == [("assistant", "Lo siento.", False), ("assistant", "¿Perdona?", False)]


async def test_a_tutor_that_has_stepped_aside_says_nothing(session: LessonSession) -> None:
    """It is cut off, and its sound goes nowhere."""
    session.generate_reply()
    await asyncio.sleep(1)
    session.interrupt(force=True)
    switch(session, on=False)
    await asyncio.sleep(1)
    assert session.agent_state == "listening"
    assert not session.output.audio_enabled


async def test_last_words_are_the_models_own_to_hear(session: LessonSession) -> None:
    """No recogniser is pending, so the end does not wait."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await LastWords(session, loop.time).take()
    assert loop.time() == begun


async def test_utterances_without_a_recogniser_do_not_clear_what_the_model_hears(
    session: LessonSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that gives no transcripts hears nevertheless."""
    cleared: list[str] = []
    monkeypatch.setattr(session, "clear_user_turn", lambda: cleared.append("cleared"))
    now = asyncio.get_running_loop().time
    vitals = Vitals(session, now, lambda _: None, lambda _: None)
    for number in range(8):
        for state, at in (("speaking", 0.0), ("listening", 2.0)):
            vitals._on_learner(SimpleNamespace(new_state=state, created_at=number * 9 + at))  # type: ignore[arg-type]  # LiveKit's event
    assert cleared == []


async def test_a_model_of_the_configuration_ends_turns_itself() -> None:
    """No other engine is needed beside it."""
    use = "loqua_host.testing.realtime:ScriptedRealtime"
    session = build_session(Engines.model_validate({"llm": {"use": use}}), "es", {})
    assert session.turn_detection == "realtime_llm"
    assert session.stt is None
    assert session.tts is None


async def test_a_typed_message_is_answered(session: LessonSession, model: ScriptedRealtime) -> None:
    """It is answered like a spoken one."""
    model.replies.popleft()
    await answer_typed(session, Learner(user_id="ana", identity="ana"), "hola")
    await asyncio.sleep(5)
    assert [it[:2] for it in said(session)] == [("user", "hola"), ("assistant", "Sí, dime.")]
