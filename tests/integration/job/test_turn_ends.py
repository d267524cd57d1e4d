"""The end of a turn in LiveKit's session, with its own detectors and a synthetic voice."""

import asyncio
from typing import Any, Never

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import Agent, LanguageCode, StopResponse, llm, stt
from livekit.agents.voice.io import AudioInput

from loqua_host.job.voice.session import build_session
from loqua_host.job.voice.turn_ends import following_words
from loqua_host.settings.engines import Engine, Engines, TurnDelays
from loqua_speech.voices import SPEAKING_RATE, synthesize, voice_for

DELAYS = TurnDelays(min_delay=0.6, max_delay=5.0)
EXPECTED = "Me gusta la comida española."
FRAME = SPEAKING_RATE // 50
_QUIET = 200


class SpeechThenSilence(AudioInput):
    """A microphone with speech, followed by digital silence."""

    def __init__(self) -> None:
        super().__init__(label="microphone")
        self._spoken = np.zeros(0, np.int16)
        self._due = 0.0
        self.last_word = 0.0

    def speak(self) -> None:
        """Play the sentence."""
        pcm = np.frombuffer(b"".join(synthesize(EXPECTED, voice=voice_for("es"))), np.int16)
        self._spoken = pcm[: np.flatnonzero(np.abs(pcm) > _QUIET)[-1]]

    async def __anext__(self) -> rtc.AudioFrame:
        """Return 20 ms of sound, in real time."""
        now = asyncio.get_running_loop().time()
        self._due = max(self._due + 0.02, now - 0.2)
        await asyncio.sleep(self._due - now)
        frame = np.zeros(FRAME, np.int16)
        part, self._spoken = self._spoken[:FRAME], self._spoken[FRAME:]
        frame[: len(part)] = part
        if len(part):
            self.last_word = asyncio.get_running_loop().time()
        return rtc.AudioFrame(frame.tobytes(), SPEAKING_RATE, 1, FRAME)


class FixedRecogniser(stt.STT[Never]):
    """A recogniser with a given transcript."""

    def __init__(self, text: str) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self.text = text

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        heard = stt.SpeechData(language=LanguageCode("es"), text=self.text)
        return stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[heard])


class SilentAgent(Agent):
    """An agent that never answers."""

    def __init__(self) -> None:
        super().__init__(instructions="")
        self.turns: asyncio.Queue[float] = asyncio.Queue()

    async def on_user_turn_completed(
        self,
        turn_ctx: llm.ChatContext,  # noqa: ARG002  LiveKit passes it by position
        new_message: llm.ChatMessage,  # noqa: ARG002  likewise
    ) -> None:
        """Note when the turn was over."""
        self.turns.put_nowait(asyncio.get_running_loop().time())
        raise StopResponse


@pytest.mark.parametrize(
    ("text", "is_waited_for"),
    [(EXPECTED, False), ("Me gusta la", True)],
    ids=["expected", "unfinished"],
)
async def test_an_expected_answer_ends_the_turn_and_an_article_does_not(
    text: str, *, is_waited_for: bool
) -> None:
    """The turn detector takes neither for an end: a synthetic voice has no breath behind it."""
    named = {"use": f"{__name__}:FixedRecogniser", "options": {"text": text}}
    engines = Engines(stt=(Engine.model_validate(named),), turn=DELAYS)
    session, microphone, tutor = (
        build_session(engines, "es", {}),
        SpeechThenSilence(),
        SilentAgent(),
    )
    session.input.audio = microphone
    await session.start(tutor, record=False)
    try:
        with following_words(session, "es", lambda words: words == EXPECTED):
            microphone.speak()
            async with asyncio.timeout(30):
                waited = await tutor.turns.get() - microphone.last_word
    finally:
        await session.aclose()
    assert (waited > DELAYS.max_delay - 1) is is_waited_for
