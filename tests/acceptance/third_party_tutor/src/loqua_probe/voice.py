"""A text-to-speech engine of tones, for hosts without a speech server."""

import math
from array import array
from typing import Any

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, tts

__all__ = ["ToneTTS"]

RATE = 24_000
SECONDS = 1.5


class ToneTTS(tts.TTS[Any]):
    """A text-to-speech engine that plays a tone for any text."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1
        )

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Hum a sentence."""
        return _ToneStream(tts=self, input_text=text, conn_options=conn_options)


class _ToneStream(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="hum", sample_rate=RATE, num_channels=1, mime_type="audio/pcm"
        )
        wave = (math.sin(880 * math.pi * number / RATE) for number in range(int(RATE * SECONDS)))
        output_emitter.push(array("h", (int(8000 * it) for it in wave)).tobytes())
        output_emitter.flush()
