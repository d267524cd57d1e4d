"""The agent and engines of all sides: it greets with a hum, and recognises nothing."""

import math
from array import array
from typing import Any

from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    Agent,
    APIConnectOptions,
    NotGivenOr,
    stt,
    tts,
)
from livekit.agents.utils import AudioBuffer

__all__ = ["Deaf", "Greeter", "Hum"]

RATE = 24_000
SECONDS = 1.5


class Greeter(Agent):
    """Greets whoever is there."""

    def __init__(self, **engines: Any) -> None:
        super().__init__(instructions="", **engines)

    async def on_enter(self) -> None:
        """Greet."""
        self.session.say("Hello.")


class Hum(tts.TTS[Any]):
    """Hums whatever it is to say."""

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


class Deaf(stt.STT[Any]):
    """Takes all audio and recognises nothing in it."""

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
        return _Taking(stt=self, conn_options=conn_options)


class _Taking(stt.RecognizeStream):
    async def _run(self) -> None:
        async for _ in self._input_ch:
            pass
