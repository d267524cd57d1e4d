"""Fake engines that answer, refuse, hang, break off, or return nonsense."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    APIConnectionError,
    APIConnectOptions,
    APIStatusError,
    llm,
    stt,
    tts,
)
from livekit.agents.llm import ChatChunk, ChoiceDelta, FunctionToolCall

RATE = 24_000

Does = Callable[[], AsyncIterator[Any]]
"""What an engine does when it is asked: yields pieces of its answer."""


async def refuses() -> AsyncIterator[Any]:
    """Take no key, and quote it."""
    raise APIStatusError("no such key: sk-secret", status_code=401, retryable=False)
    yield


async def fails() -> AsyncIterator[Any]:
    """Fail as an engine behind a broken proxy does."""
    raise APIStatusError("bad gateway", status_code=503)
    yield


async def throttles() -> AsyncIterator[Any]:
    """Refuse with a rate limit."""
    raise APIStatusError("slow down", status_code=429)
    yield


async def unreachable() -> AsyncIterator[Any]:
    """Fail to connect."""
    raise APIConnectionError
    yield


async def hangs() -> AsyncIterator[Any]:
    """Accept, and never answer."""
    await asyncio.Event().wait()
    yield


async def babbles() -> AsyncIterator[Any]:
    """Answer something that its plugin cannot read."""
    raise ValueError("Expecting value: line 1 column 1")
    yield


async def ends() -> AsyncIterator[Any]:
    """Answer nothing at all."""
    return
    yield


def says(*pieces: Any) -> Does:
    """Answer these pieces."""

    async def answer() -> AsyncIterator[Any]:
        for piece in pieces:
            yield piece

    return answer


one_second = says(1.0)


def then(first: Does, second: Does) -> Does:
    """Do one after the other, when what came first has arrived."""

    async def answer() -> AsyncIterator[Any]:
        async for piece in first():
            yield piece
        await asyncio.sleep(0.1)
        async for piece in second():
            yield piece

    return answer


FAULTS = {
    "refused key": refuses,
    "bad gateway": fails,
    "throttled": throttles,
    "unreachable": unreachable,
    "hangs": hangs,
    "garbage": babbles,
    "nothing": ends,
}


class FakeTTS(tts.TTS[Any]):
    """A text-to-speech engine that returns seconds of audio, at a level that identifies it."""

    def __init__(self, does: Does, level: int = 1, *, rate: int = RATE) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=rate, num_channels=1
        )
        self.does, self.level = does, level
        self.asked: list[str] = []

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Synthesise a sentence."""
        self.asked.append(text)
        return _TTSStream(tts=self, input_text=text, conn_options=conn_options)


class _TTSStream(tts.ChunkedStream):
    _tts: FakeTTS

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        rate = self._tts.sample_rate
        output_emitter.initialize(
            request_id="1", sample_rate=rate, num_channels=1, mime_type="audio/pcm"
        )
        async for seconds in self._tts.does():
            output_emitter.push(self._tts.level.to_bytes(2, "little") * int(seconds * rate))


class FakeLLM(llm.LLM[Any]):
    """A language model that replies and calls tools."""

    def __init__(self, does: Does) -> None:
        super().__init__()
        self.does = does
        self.asked = 0

    def chat(self, **asked: Any) -> llm.LLMStream:
        """Answer."""
        self.asked += 1
        options = {name: asked[name] for name in ("chat_ctx", "tools", "conn_options")}
        return _LLMStream(self, **options)


class _LLMStream(llm.LLMStream):
    _llm: FakeLLM

    async def _run(self) -> None:
        async for piece in self._llm.does():
            delta = (
                ChoiceDelta(role="assistant", content=piece)
                if isinstance(piece, str)
                else ChoiceDelta(tool_calls=[piece])
            )
            self._event_ch.send_nowait(ChatChunk(id="1", delta=delta))


CALL = FunctionToolCall(name="call_specialist", arguments="{}", call_id="1")


class FakeSTT(stt.STT[Any]):
    """A recogniser with given transcripts, by utterance or streaming."""

    def __init__(self, does: Does, *, streaming: bool = False) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(streaming=streaming, interim_results=False)
        )
        self.does = does
        self.asked = 0
        self.heard: list[int] = []

    async def _recognize_impl(self, buffer: Any, **_options: Any) -> stt.SpeechEvent:
        self.asked += 1
        self.heard.append(_level(buffer))
        async for text in self.does():
            return _final(text)
        raise APIConnectionError("nothing")

    def stream(self, **options: Any) -> stt.RecognizeStream:
        """Return a stream of recognition."""
        self.asked += 1
        return _RecognizeStream(self, options["conn_options"])


class _RecognizeStream(stt.RecognizeStream):
    """A stream that runs its engine's step at each frame."""

    def __init__(self, engine: FakeSTT, conn_options: APIConnectOptions) -> None:
        self._engine = engine
        super().__init__(stt=engine, conn_options=conn_options)

    async def _run(self) -> None:
        async for piece in self._input_ch:
            if isinstance(piece, rtc.AudioFrame):
                self._engine.heard.append(_level(piece))
                async for text in self._engine.does():
                    if text:
                        self._event_ch.send_nowait(_final(text))


def _final(text: str) -> stt.SpeechEvent:
    return stt.SpeechEvent(
        type=stt.SpeechEventType.FINAL_TRANSCRIPT,
        alternatives=[stt.SpeechData(language="es", text=text)],  # type: ignore[arg-type]  # a code
    )


def frame(level: int = 1, seconds: float = 0.1) -> rtc.AudioFrame:
    """Return a piece of sound."""
    samples = int(seconds * RATE)
    return rtc.AudioFrame(level.to_bytes(2, "little") * samples, RATE, 1, samples)


def _level(sound: "rtc.AudioFrame | Sequence[rtc.AudioFrame]") -> int:
    first = sound if isinstance(sound, rtc.AudioFrame) else sound[0]
    return first.data[0]
