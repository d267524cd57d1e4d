"""The learner's last words when a lesson ends, in LiveKit's own session."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import Agent, APIConnectOptions, llm, stt
from livekit.agents.voice.io import AudioInput

from loqua_host.job.voice.session import (
    LessonSession,
    close_voice,
    commit_turn,
    switch,
    take_last_words,
)

RATE = 16_000
FINAL, INTERIM = stt.SpeechEventType.FINAL_TRANSCRIPT, stt.SpeechEventType.INTERIM_TRANSCRIPT


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run these tests on real time: LiveKit's session has clocks of its own."""
    return {"real": asyncio.new_event_loop}


class InterimRecogniser(stt.STT):
    """A recogniser with interim transcripts during audio, and a final one after silence."""

    def __init__(self, heard: str, *, final: str = "") -> None:
        capabilities = stt.STTCapabilities(streaming=True, interim_results=True)
        super().__init__(capabilities=capabilities)
        self.heard = heard
        self.final = final

    async def _recognize_impl(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def stream(self, *, conn_options: APIConnectOptions, **_: Any) -> stt.RecognizeStream:
        """Recognise what comes."""
        return InterimStream(stt=self, conn_options=conn_options)


class InterimStream(stt.RecognizeStream):
    """One stream of the recogniser."""

    async def _run(self) -> None:
        recogniser = self._stt
        assert isinstance(recogniser, InterimRecogniser)
        speech = False
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            loud = any(frame.data)
            if loud and not speech and recogniser.heard:
                self._tell(INTERIM, recogniser.heard)
            if speech and not loud and recogniser.final:
                self._tell(FINAL, recogniser.final)
            speech = loud

    def _tell(self, kind: stt.SpeechEventType, text: str) -> None:
        words = [stt.SpeechData(language="es", text=text)]  # type: ignore[arg-type]  # a str does
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=words))


class TalkingMicrophone(AudioInput):
    """A microphone with speech for as long as it is open."""

    def __init__(self) -> None:
        super().__init__(label="learner")
        self.heard = asyncio.Event()
        self._on = asyncio.Event()
        self._on.set()

    async def __anext__(self) -> rtc.AudioFrame:
        """Return the next piece of it."""
        await asyncio.sleep(0.02)
        await self._on.wait()
        self.heard.set()
        return rtc.AudioFrame(b"\x10\x10" * (RATE // 50), RATE, 1, RATE // 50)

    def on_attached(self) -> None:
        """Talk."""
        self._on.set()

    def on_detached(self) -> None:
        """Stop passing audio on."""
        self._on.clear()


class TurnCountingAgent(Agent):
    """An agent that counts the learner's turns."""

    def __init__(self) -> None:
        super().__init__(instructions="")
        self.turns: list[str | None] = []

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  # LiveKit passes it by position
        new_message: llm.ChatMessage,
    ) -> None:
        """Take a turn."""
        await asyncio.sleep(0.05)
        self.turns.append(new_message.text_content)


Start = Callable[[InterimRecogniser], Any]


@pytest.fixture
async def talk() -> AsyncIterator[Start]:
    """Return what starts a session in which a learner is in the middle of a sentence."""
    sessions = []

    async def start(recogniser: InterimRecogniser) -> tuple[LessonSession, TurnCountingAgent]:
        session, tutor, microphone = (
            LessonSession(stt=recogniser),
            TurnCountingAgent(),
            TalkingMicrophone(),
        )
        session._opts.session_close_transcript_timeout = 0.0
        sessions.append(session)
        session.input.audio = microphone
        transcribed = asyncio.Event()
        session.on("user_input_transcribed", lambda _: transcribed.set())
        await session.start(tutor)
        await microphone.heard.wait()
        if recogniser.heard:
            await transcribed.wait()
        return session, tutor

    yield start
    for session in sessions:
        await session.aclose()


@pytest.mark.parametrize("final", ["", "una mesa para dos"])
async def test_the_agent_takes_what_was_recognised_of_a_sentence_that_was_cut_off(
    talk: Start, final: str
) -> None:
    """It is a turn, complete or partial, before the lesson closes."""
    session, tutor = await talk(InterimRecogniser("una mesa", final=final))
    await take_last_words(session)
    assert tutor.turns == [final or "una mesa"]
    await close_voice(session, None)
    assert tutor.turns == [final or "una mesa"]


async def test_what_a_learner_said_before_they_left_is_a_turn_of_its_own(talk: Start) -> None:
    """Not the beginning of what they say when they are back."""
    session, tutor = await talk(InterimRecogniser("una mesa", final="una mesa para dos"))
    switch(session, on=False)
    assert await (commit_turn(session) or asyncio.sleep(0)) == "una mesa para dos"
    await session.wait_for_idle()
    assert tutor.turns == ["una mesa para dos"]
    transcribed = asyncio.Event()
    session.on("user_input_transcribed", lambda _: transcribed.set())
    switch(session, on=True)
    await transcribed.wait()
    await take_last_words(session)
    assert tutor.turns == ["una mesa para dos"] * 2


async def test_a_lesson_in_which_nothing_was_said_ends_at_once(talk: Start) -> None:
    """Within what a transcript that is on its way may take."""
    session, tutor = await talk(InterimRecogniser(""))
    async with asyncio.timeout(2):
        await take_last_words(session)
    assert tutor.turns == []


async def test_a_session_that_has_not_started_has_no_last_words() -> None:
    """A tutor may fail before."""
    await take_last_words(LessonSession())
