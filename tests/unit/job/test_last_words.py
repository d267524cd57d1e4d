"""The learner's last words when a lesson ends, in LiveKit's own session."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import Agent, APIConnectOptions, UserStateChangedEvent, llm, stt
from livekit.agents.voice.io import AudioInput

from loqua_host.job.voice.last_words import PENDING_SECONDS, RECOGNITION_SECONDS, LastWords
from loqua_host.job.voice.session import LessonSession, close_voice, switch

RATE = 16_000
FINAL, INTERIM = stt.SpeechEventType.FINAL_TRANSCRIPT, stt.SpeechEventType.INTERIM_TRANSCRIPT
START, END = stt.SpeechEventType.START_OF_SPEECH, stt.SpeechEventType.END_OF_SPEECH


class InterimRecogniser(stt.STT):
    """A recogniser with interim transcripts during audio, and a final one after silence."""

    def __init__(
        self, heard: str, *, final: str = "", takes: float = 0.0, early: bool = False
    ) -> None:
        capabilities = stt.STTCapabilities(streaming=True, interim_results=True)
        super().__init__(capabilities=capabilities)
        self.heard = heard
        self.final = final
        self.takes = takes
        self.early = early

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
            if loud and not speech:
                self._event_ch.send_nowait(stt.SpeechEvent(type=START))
                if recogniser.heard:
                    self._tell(INTERIM, recogniser.heard)
            if speech and not loud:
                if recogniser.early:
                    self._tell(FINAL, recogniser.final)
                self._event_ch.send_nowait(stt.SpeechEvent(type=END))
                if recogniser.final and not recogniser.early:
                    await asyncio.sleep(recogniser.takes)
                    self._tell(FINAL, recogniser.final)
            speech = loud

    def _tell(self, kind: stt.SpeechEventType, text: str) -> None:
        words = [stt.SpeechData(language="es", text=text)]  # type: ignore[arg-type]  # a str does
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=words))


class TalkingMicrophone(AudioInput):
    """A microphone with speech for as long as it is open, unless it is not loud."""

    def __init__(self, loudness: int) -> None:
        super().__init__(label="learner")
        self.loudness = loudness
        self.heard = asyncio.Event()
        self._on = asyncio.Event()
        self._on.set()

    async def __anext__(self) -> rtc.AudioFrame:
        """Return the next piece of it."""
        await asyncio.sleep(0.02)
        await self._on.wait()
        self.heard.set()
        return rtc.AudioFrame(bytes([self.loudness]) * (RATE // 25), RATE, 1, RATE // 50)

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


@dataclass(frozen=True, slots=True)
class Talk:
    """A session in which a learner is in the middle of a sentence."""

    session: LessonSession
    tutor: TurnCountingAgent
    microphone: TalkingMicrophone
    last_words: LastWords

    async def until(self, state: str) -> None:
        """Wait until the learner speaks, or is silent."""
        reached = asyncio.Event()

        def on_state(event: UserStateChangedEvent) -> None:
            if event.new_state == state:
                reached.set()

        self.session.on("user_state_changed", on_state)
        if self.session.user_state != state:
            await reached.wait()


Start = Callable[..., Awaitable[Talk]]


@pytest.fixture
async def talk() -> AsyncIterator[Start]:
    """Return what starts a session in which a learner is in the middle of a sentence."""
    sessions = []

    async def start(recogniser: InterimRecogniser, *, loudness: int = 16) -> Talk:
        session = LessonSession(stt=recogniser, turn_handling={"turn_detection": "stt"})
        talk = Talk(
            session,
            TurnCountingAgent(),
            TalkingMicrophone(loudness),
            LastWords(session, asyncio.get_running_loop().time),
        )
        session._opts.session_close_transcript_timeout = 0.0
        sessions.append(session)
        session.input.audio = talk.microphone
        transcribed = asyncio.Event()
        session.on("user_input_transcribed", lambda _: transcribed.set())
        await session.start(talk.tutor)
        await talk.microphone.heard.wait()
        if recogniser.heard:
            await transcribed.wait()
        return talk

    yield start
    for session in sessions:
        await session.aclose()


@pytest.mark.parametrize("final", ["", "una mesa para dos"], ids=["interim", "final"])
async def test_the_agent_takes_what_was_recognised_of_a_sentence_that_was_cut_off(
    talk: Start, final: str
) -> None:
    """It is a turn, complete or partial, before the lesson closes."""
    it = await talk(InterimRecogniser("una mesa", final=final))
    await it.last_words.take()
    assert it.tutor.turns == [final or "una mesa"]
    await close_voice(it.session, None)
    assert it.tutor.turns == [final or "una mesa"]


async def test_the_agent_takes_what_is_still_being_recognised(talk: Start) -> None:
    """A busy machine needs seconds for a sentence that is over already."""
    it = await talk(InterimRecogniser("", final="una mesa para dos", takes=1.5))
    await it.until("speaking")
    it.microphone.loudness = 0
    await it.until("listening")
    await it.last_words.take()
    assert it.tutor.turns == ["una mesa para dos"]


async def test_an_end_waits_for_no_words_that_were_recognised_before_speech_counted_as_over(
    talk: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after each answer of a learner: recognition is faster than the silence at its end."""
    it = await talk(InterimRecogniser("una", final="una mesa para dos", early=True))
    it.microphone.loudness = 0
    await it.until("listening")
    waits: list[float] = []
    monkeypatch.setattr(
        it.session, "commit_user_turn", lambda **how: waits.append(how["transcript_timeout"])
    )
    it.last_words.commit()
    assert waits == [PENDING_SECONDS]


async def test_words_are_taken_when_a_learner_who_left_in_the_middle_of_them_is_gone(
    talk: Start,
) -> None:
    """The time that they had to return in may be shorter than recognition takes."""
    it = await talk(InterimRecogniser("", final="una mesa para dos", takes=1.5))
    await it.until("speaking")
    switch(it.session, on=False)
    it.last_words.commit()
    await it.until("listening")
    await it.last_words.take()
    assert it.tutor.turns == ["una mesa para dos"]


async def test_what_a_learner_said_before_they_left_is_a_turn_of_its_own(talk: Start) -> None:
    """Not the beginning of what they say when they are back."""
    it = await talk(InterimRecogniser("una mesa", final="una mesa para dos"))
    switch(it.session, on=False)
    assert await (it.last_words.commit() or asyncio.sleep(0)) == "una mesa para dos"
    await it.session.wait_for_idle()
    assert it.tutor.turns == ["una mesa para dos"]
    transcribed = asyncio.Event()
    it.session.on("user_input_transcribed", lambda _: transcribed.set())
    switch(it.session, on=True)
    await transcribed.wait()
    await it.last_words.take()
    assert it.tutor.turns == ["una mesa para dos"] * 2


async def test_a_lesson_in_which_nothing_was_said_ends_at_once(talk: Start) -> None:
    """Within what a transcript that is on its way may take."""
    it = await talk(InterimRecogniser(""), loudness=0)
    async with asyncio.timeout(2):
        await it.last_words.take()
    assert it.tutor.turns == []


async def test_an_end_waits_no_longer_than_recognition_takes(talk: Start) -> None:
    """For an engine that never answers."""
    it = await talk(InterimRecogniser(""))
    async with asyncio.timeout(RECOGNITION_SECONDS + 1):
        await it.last_words.take()
    assert it.tutor.turns == []


async def test_a_session_that_has_not_started_has_no_last_words() -> None:
    """A tutor may fail before."""
    await LastWords(LessonSession(), asyncio.get_running_loop().time).take()
