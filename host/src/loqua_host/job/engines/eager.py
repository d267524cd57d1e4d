"""Speech recognition that starts in each pause, before the turn is known to be over."""

import asyncio
import time
from collections.abc import Callable, Sequence

from livekit import rtc
from livekit.agents import NOT_GIVEN, APIConnectOptions, stt, utils
from livekit.agents.stt import SpeechEvent, SpeechEventType
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NotGivenOr
from livekit.agents.vad import VAD, VADEvent, VADEventType, VADStream

__all__ = ["EagerSTT"]

PAUSE_SECONDS = 0.3
"""Silence after which recognition begins; fluent speech rarely has as long a pause."""


class EagerSTT(stt.StreamAdapter):
    """Recognise utterances with an engine that does not stream.

    LiveKit's adapter asks the engine when the voice activity detection says that an utterance is
    over. This one asks it earlier, while the silence lasts, and drops the result if the learner
    continues. The time that recognition takes is then hidden behind the silence.
    """

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Return a recognition stream."""
        return _EagerStream(self, self._vad, language, conn_options)


class _EagerStream(stt.RecognizeStream):
    def __init__(
        self,
        adapter: EagerSTT,
        vad: VAD,
        language: NotGivenOr[str],
        conn_options: APIConnectOptions,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now  # LiveKit dates the ends of utterances by `time.time`
        self._engine = adapter.wrapped_stt
        self._detector = vad
        self._language = language
        self._engine_options = conn_options
        self._spoken: list[rtc.AudioFrame] = []
        self._early: asyncio.Task[SpeechEvent] | None = None
        # The engine retries; a second attempt by the stream would be one too many.
        once = APIConnectOptions(max_retry=0, timeout=conn_options.timeout)
        super().__init__(stt=adapter, conn_options=once)

    async def _run(self) -> None:
        detection = self._detector.stream()
        forwarding = asyncio.create_task(self._forward(detection))
        try:
            async for event in detection:
                await self._follow(event)
        finally:
            await utils.aio.cancel_and_wait(forwarding)
            await self._drop()
            await detection.aclose()

    async def _forward(self, detection: VADStream) -> None:
        async for piece in self._input_ch:
            if isinstance(piece, rtc.AudioFrame):
                detection.push_frame(piece)
            else:
                detection.flush()
        detection.end_input()

    async def _follow(self, event: VADEvent) -> None:
        match event.type:
            case VADEventType.START_OF_SPEECH:
                self._spoken = list(event.frames)
                self._event_ch.send_nowait(SpeechEvent(SpeechEventType.START_OF_SPEECH))
            case VADEventType.INFERENCE_DONE if event.speaking:
                self._spoken += event.frames
                await self._anticipate(event.raw_accumulated_silence)
            case VADEventType.END_OF_SPEECH:
                await self._close(event)

    async def _anticipate(self, silence: float) -> None:
        """Begin to recognise in a pause, and drop the result if the learner continues."""
        if silence == 0:
            await self._drop()
        elif silence >= PAUSE_SECONDS and self._early is None:
            self._early = asyncio.create_task(self._recognise(self._spoken))

    async def _close(self, event: VADEvent) -> None:
        ended = self._now() - event.silence_duration - event.inference_duration
        self._event_ch.send_nowait(
            SpeechEvent(SpeechEventType.END_OF_SPEECH, speech_end_time=ended)
        )
        early, self._early = self._early, None
        found = await (early or self._recognise(event.frames))
        if found.alternatives and found.alternatives[0].text:
            self._event_ch.send_nowait(
                SpeechEvent(
                    SpeechEventType.FINAL_TRANSCRIPT,
                    alternatives=found.alternatives[:1],
                    speech_end_time=found.speech_end_time or ended,
                )
            )

    async def _recognise(self, frames: Sequence[rtc.AudioFrame]) -> SpeechEvent:
        return await self._engine.recognize(
            buffer=utils.merge_frames(list(frames)),
            language=self._language,
            conn_options=self._engine_options,
        )

    async def _drop(self) -> None:
        early, self._early = self._early, None
        if early is not None:
            await utils.aio.cancel_and_wait(early)
