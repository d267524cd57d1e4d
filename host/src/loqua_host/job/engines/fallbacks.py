"""LiveKit's fallback adapters, extended.

LiveKit's own adapters lose the learner's or the tutor's current utterance when an engine fails,
wait as long as each plugin does, and never return to a streaming recognition engine.
"""

import asyncio
import contextlib
import dataclasses
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Collection, Sequence
from contextlib import aclosing
from typing import Any, Final

from livekit import rtc
from livekit.agents import NOT_GIVEN, APIConnectionError, APIConnectOptions, llm, stt, tts
from livekit.agents.llm import fallback_adapter as llm_fallback
from livekit.agents.stt import SpeechEvent, SpeechEventType
from livekit.agents.stt import fallback_adapter as stt_fallback
from livekit.agents.tts import AudioEmitter, SynthesizedAudio
from livekit.agents.tts import fallback_adapter as tts_fallback
from livekit.agents.types import NotGivenOr
from livekit.agents.utils import AudioBuffer, aio
from livekit.agents.vad import VAD

from .failover import ANSWER_SECONDS, Failover, position

__all__ = ["FallbackLLM", "FallbackSTT", "FallbackTTS"]

SOUND_PAUSE: Final = 2.0
"""Maximum seconds between two chunks of a sentence's audio, which arrives faster than real time."""

LETTER_SECONDS: Final = 0.01
"""Minimum seconds of audio per letter of a sentence; people speak about 15 letters per second."""

RESENT_SECONDS: Final = 15.0
"""Maximum seconds of audio that the next recognition engine receives again after a failure."""

BROKEN_OFF: Final = "… "
"""The text between an interrupted reply and that of the next model."""


class FallbackTTS(tts.FallbackAdapter):
    """Speak sentence by sentence; the next engine repeats a sentence that failed midway."""

    def __init__(self, engines: "Sequence[tts.TTS[Any]]", failover: Failover) -> None:
        super().__init__(list(engines), max_retry_per_tts=0)
        self.failover = failover
        _begin(self._status, failover)
        # LiveKit then sends single sentences: a failed stream would lose the rest of the reply.
        self._capabilities.streaming = False

    def synthesize(
        self,
        text: str,
        *,
        conn_options: APIConnectOptions = tts_fallback.DEFAULT_FALLBACK_API_CONNECT_OPTIONS,
    ) -> "tts_fallback.FallbackChunkedStream":
        """Synthesize one sentence."""
        return _Sentence(tts=self, input_text=text, conn_options=conn_options)


class _Sentence(tts_fallback.FallbackChunkedStream):
    _fallback_adapter: FallbackTTS

    async def _run(self, output_emitter: AudioEmitter) -> None:
        if _letters(self._input_text):
            await super()._run(_Restarting(output_emitter))  # type: ignore[arg-type]  # all of it but one answer
        else:
            self._be_silent(output_emitter)

    def _be_silent(self, emitter: AudioEmitter) -> None:
        """Emit silence for a text that has no sound, such as an emoji."""
        rate, channels = self._tts.sample_rate, self._tts.num_channels
        emitter.initialize(
            request_id="", sample_rate=rate, num_channels=channels, mime_type="audio/pcm"
        )
        emitter.push(bytes(2 * channels * rate // 10))

    async def _try_synthesize(
        self, *, tts: "tts.TTS[Any]", recovering: bool = False
    ) -> AsyncGenerator[SynthesizedAudio, None]:
        engine = position(self._fallback_adapter._tts_instances, tts)  # noqa: SLF001  # ours, by inheritance
        sound = _whole(super()._try_synthesize(tts=tts, recovering=recovering), self._input_text)
        attempt = self._fallback_adapter.failover.attempt
        async for piece in attempt(engine, sound, pause=SOUND_PAUSE, probe=recovering):
            yield piece

    def _try_recovery(self, tts: "tts.TTS[Any]") -> None:
        engine = position(self._fallback_adapter._tts_instances, tts)  # noqa: SLF001  # likewise
        if self._fallback_adapter.failover.may_retry(engine):
            super()._try_recovery(tts)


async def _whole(
    sound: AsyncGenerator[SynthesizedAudio, None], text: str
) -> AsyncGenerator[SynthesizedAudio, None]:
    """Yield the audio of a sentence.

    Raises:
        APIConnectionError: If it is too short: an error page of a proxy, or incomplete.
    """
    seconds = 0.0
    async with aclosing(sound):
        async for piece in sound:
            seconds += piece.frame.duration
            yield piece
    if seconds < LETTER_SECONDS * _letters(text):
        raise APIConnectionError("too little sound")


def _letters(text: str) -> int:
    return sum(character.isalnum() for character in text)


class _Restarting:
    """An emitter that reports no audio, because LiveKit does not retry a sentence with some."""

    def __init__(self, emitter: AudioEmitter) -> None:
        self._emitter = emitter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._emitter, name)

    def pushed_duration(self) -> float:
        """Return 0."""
        return 0.0


class FallbackLLM(llm.FallbackAdapter):
    """Generate replies; the next model replies again after an interruption, unless tools ran."""

    def __init__(self, engines: "Sequence[llm.LLM[Any]]", failover: Failover) -> None:
        super().__init__(list(engines), attempt_timeout=ANSWER_SECONDS, retry_on_chunk_sent=True)
        self.failover = failover
        _begin(self._status, failover)

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = llm_fallback.DEFAULT_FALLBACK_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        """Generate a reply."""
        return _Reply(
            llm=self,
            chat_ctx=chat_ctx,
            tools=tools or [],
            conn_options=conn_options,
            parallel_tool_calls=parallel_tool_calls,
            tool_choice=tool_choice,
            extra_kwargs=extra_kwargs,
        )


class _Reply(llm_fallback.FallbackLLMStream):
    _fallback_adapter: FallbackLLM

    def __init__(self, **options: Any) -> None:
        self._said = self._called = False
        super().__init__(**options)

    async def _try_generate(
        self, *, llm: "llm.LLM[Any]", check_recovery: bool = False
    ) -> AsyncIterable["llm.ChatChunk"]:
        engine = position(self._fallback_adapter._llm_instances, llm)  # noqa: SLF001  # ours, by inheritance
        chunks: Any = super()._try_generate(llm=llm, check_recovery=check_recovery)
        attempt = self._fallback_adapter.failover.attempt
        answer = attempt(engine, chunks, pause=ANSWER_SECONDS, probe=check_recovery)
        if check_recovery:
            async for chunk in answer:
                yield chunk
            return
        try:
            async for chunk in self._anew(answer):
                yield chunk
        except Exception:  # any exception, like LiveKit's own fallback
            if not self._called:  # a second attempt would call tools twice
                raise

    async def _anew(
        self, answer: AsyncGenerator["llm.ChatChunk", None]
    ) -> AsyncGenerator["llm.ChatChunk", None]:
        """Yield a reply, after a separator if an earlier one was interrupted."""
        broken_off = self._said
        async for chunk in answer:
            delta = chunk.delta
            if delta and delta.content:
                if broken_off:
                    delta.content = BROKEN_OFF + delta.content
                    broken_off = False
                self._said = True
            self._called = self._called or bool(delta and delta.tool_calls)
            yield chunk

    def _try_recovery(self, llm: "llm.LLM[Any]") -> None:
        engine = position(self._fallback_adapter._llm_instances, llm)  # noqa: SLF001  # likewise
        if self._fallback_adapter.failover.may_retry(engine):
            super()._try_recovery(llm)


class FallbackSTT(stt.FallbackAdapter):
    """Recognise speech; the next engine receives the same audio after a failure.

    The adapter streams if the first engine does, and otherwise works by utterance.
    """

    def __init__(self, engines: "Sequence[stt.STT[Any]]", failover: Failover, vad: VAD) -> None:
        super().__init__(
            list(engines), vad=vad, attempt_timeout=ANSWER_SECONDS, max_retry_per_stt=0
        )
        self.failover = failover
        _begin(self._status, failover)
        whole = all(one.capabilities.offline_recognize for one in engines)
        self._capabilities.streaming = engines[0].capabilities.streaming or not whole

    async def _try_recognize(
        self,
        *,
        stt: "stt.STT[Any]",
        buffer: AudioBuffer,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
        recovering: bool = False,
    ) -> SpeechEvent:
        async def recognise() -> AsyncGenerator[SpeechEvent, None]:
            yield await recognised

        recognised = super()._try_recognize(
            stt=stt,
            buffer=buffer,
            language=language,
            conn_options=conn_options,
            recovering=recovering,
        )
        engine = position(self._stt_instances, stt)
        attempt = self.failover.attempt(engine, recognise(), pause=ANSWER_SECONDS, probe=recovering)
        [event] = [event async for event in attempt]
        return event

    def _try_recovery(self, *, stt: "stt.STT[Any]", **asked: Any) -> None:
        if self.failover.may_retry(position(self._stt_instances, stt)):
            super()._try_recovery(stt=stt, **asked)

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = stt_fallback.DEFAULT_FALLBACK_API_CONNECT_OPTIONS,
    ) -> "stt.RecognizeStream":
        """Return a recognition stream."""
        return _Hearing(self, language, conn_options)

    def mark_unhealthy(self) -> None:
        """Mark the current engine as failed, because it returns no words."""
        engine = self.failover.serving or 0
        self.failover.note_failure(engine, APIConnectionError("no words"))
        self._status[engine].available = False


class _Hearing(stt.RecognizeStream):
    """A stream on the first available engine, which moves to a better one after a transcript."""

    def __init__(
        self,
        adapter: FallbackSTT,
        language: NotGivenOr[str],
        conn_options: APIConnectOptions,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._now = now  # LiveKit dates the starts of streams by `time.time`
        self._engines = adapter._stt_instances  # noqa: SLF001  # ours, by inheritance
        self._failover = adapter.failover
        self._language = language
        self._current: stt.RecognizeStream | None = None
        self._untranscribed: deque[rtc.AudioFrame] = deque()
        self._failed: set[int] = set()
        super().__init__(stt=adapter, conn_options=conn_options)

    async def _run(self) -> None:
        self._failed.clear()
        forwarding = asyncio.create_task(self._forward())
        try:
            while not await self._recognise_with(self._pick(self._failed)):
                pass
        finally:
            await aio.cancel_and_wait(forwarding)

    def _pick(self, failed: Collection[int] = ()) -> int:
        """Return the first available engine, or else the first that has not just failed.

        Raises:
            APIConnectionError: If all have.
        """
        left = [one for one in range(len(self._engines)) if one not in failed]
        if not left:
            raise APIConnectionError("all STTs failed")
        return next((one for one in left if self._failover.may_retry(one)), left[0])

    async def _recognise_with(self, engine: int) -> bool:
        """Recognise until the input ends (True) or another engine must take over (False)."""
        try:
            async with self._stream_of(engine) as self._current:
                async for event in self._current:
                    self._event_ch.send_nowait(event)
                    self._failover.note_answer(engine)
                    if event.type is SpeechEventType.FINAL_TRANSCRIPT and self._passes_on(engine):
                        return False
            if not self._input_ch.closed:
                raise APIConnectionError("the stream ended")  # noqa: TRY301  # as any other failure
        except Exception as error:  # noqa: BLE001  # engines are foreign code
            self._failed.add(engine)
            self._failover.note_failure(engine, error)
        return self._input_ch.closed

    def _stream_of(self, engine: int) -> stt.RecognizeStream:
        """Open an engine's stream, and send it the audio that has no transcript yet."""
        once = dataclasses.replace(self._conn_options, max_retry=0, timeout=ANSWER_SECONDS)
        stream = self._engines[engine].stream(language=self._language, conn_options=once)
        resent = sum(frame.duration for frame in self._untranscribed)
        since = self._now() - self._start_time - resent
        stream.start_time_offset = max(0.0, self.start_time_offset + since)
        for frame in self._untranscribed:
            stream.push_frame(frame)
        if self._input_ch.closed:
            stream.end_input()
        return stream

    def _passes_on(self, engine: int) -> bool:
        """Note that all audio has a transcript; return whether a better engine may be tried now."""
        self._untranscribed.clear()
        self._failed.clear()
        self._failover.note_success(engine)
        return self._pick() < engine

    async def _forward(self) -> None:
        async for piece in self._input_ch:
            if isinstance(piece, rtc.AudioFrame):
                self._buffer(piece)
            with contextlib.suppress(RuntimeError):  # the stream has ended; another one will start
                self._give(piece)
        with contextlib.suppress(RuntimeError):
            if self._current is not None:
                self._current.end_input()

    def _give(self, piece: "rtc.AudioFrame | stt.RecognizeStream._FlushSentinel") -> None:
        if self._current is None:
            return
        if isinstance(piece, rtc.AudioFrame):
            self._current.push_frame(piece)
        else:
            self._current.flush()

    def _buffer(self, frame: rtc.AudioFrame) -> None:
        self._untranscribed.append(frame)
        while sum(one.duration for one in self._untranscribed) > RESENT_SECONDS:
            self._untranscribed.popleft()


def _begin(statuses: Sequence[Any], failover: Failover) -> None:
    """Mark engines that fail in other lessons as unavailable, until a probe succeeds."""
    for status, well in zip(statuses, failover.well, strict=True):
        status.available = well
