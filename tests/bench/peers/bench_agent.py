"""The agent and engines of all compared systems: tones, and a fixed transcript."""

import math
from array import array
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    Agent,
    APIConnectOptions,
    NotGivenOr,
    StopResponse,
    llm,
    stt,
    tts,
)
from livekit.agents.utils import AudioBuffer

__all__ = ["Greeter", "Hum", "OneSentence"]

RATE = 24_000
SECONDS = 1.5
LOUD = 1000
"""The least sample of speech, of 32,767."""

PAUSE = 0.2
"""Seconds of silence after which a sentence is recognised."""

SENTENCE = stt.SpeechEvent(
    type=stt.SpeechEventType.FINAL_TRANSCRIPT,
    alternatives=[stt.SpeechData(language="en", text="I am fine, thanks.")],
)


class Greeter(Agent):
    """An agent that greets, and answers every turn."""

    def __init__(self, **engines: Any) -> None:
        super().__init__(instructions="", **engines)

    async def on_enter(self) -> None:
        """Greet."""
        self.session.say("Hello.")

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        """Answer."""
        del turn_ctx, new_message
        self.session.say("I see.")
        raise StopResponse


class Hum(tts.TTS[Any]):
    """A text-to-speech engine that plays a tone for any text."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1
        )

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Hum a sentence."""
        return _Humming(tts=self, input_text=text, conn_options=conn_options)


class _Humming(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="hum", sample_rate=RATE, num_channels=1, mime_type="audio/pcm"
        )
        wave = (math.sin(880 * math.pi * number / RATE) for number in range(int(RATE * SECONDS)))
        output_emitter.push(array("h", (int(8000 * it) for it in wave)).tobytes())
        output_emitter.flush()


class OneSentence(stt.STT[Any]):
    """A recogniser with one fixed transcript."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Take audio."""
        del language
        return _Recognising(stt=self, conn_options=conn_options)


class _Recognising(stt.RecognizeStream):
    async def _run(self) -> None:
        silent = PAUSE
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            if np.abs(np.frombuffer(frame.data, np.int16)).max() >= LOUD:
                silent = 0.0
            elif silent < PAUSE and (silent := silent + frame.duration) >= PAUSE:
                self._event_ch.send_nowait(SENTENCE)
