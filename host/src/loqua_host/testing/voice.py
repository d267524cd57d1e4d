"""A voice session without audio: the learner's words arrive as transcripts."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Never

from livekit import rtc
from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    Agent,
    APIConnectOptions,
    LanguageCode,
    NotGivenOr,
    llm,
    stt,
)
from livekit.agents.voice.io import AudioInput
from pydantic import TypeAdapter

from loqua_host.job.voice.audio_input import MixedAudioInput
from loqua_host.job.voice.levels import Levels
from loqua_host.job.voice.session import LessonSession
from loqua_host.livekit_internals import no_room_io

from .realtime import ScriptedRealtimeSession
from .replies import Reply, function_call

__all__ = ["ScriptedLLM", "TextSession"]

TURN_DELAY = 0.1
"""Virtual seconds from the learner's last word to the end of the turn."""

REPLIES: TypeAdapter[tuple[Reply, ...]] = TypeAdapter(tuple[Reply, ...])

LOUD = 1e6
"""The mean square of the samples of speech."""


class TextSession(LessonSession):
    """LiveKit's session with its real turn detection, without engines and without a room.

    Args:
        model: The language model, if there is one. A realtime model hears by itself.
    """

    def __init__(self, model: "llm.LLM[Any] | llm.RealtimeModel | None" = None) -> None:
        self._recogniser = TranscriptSTT()
        self._levels: Levels | None = None
        self._realtime = isinstance(model, llm.RealtimeModel)
        super().__init__(
            stt=NOT_GIVEN if self._realtime else self._recogniser,
            llm=model or NOT_GIVEN,
            vad=None,
            turn_handling={
                "turn_detection": "realtime_llm" if self._realtime else "stt",
                "endpointing": {"min_delay": TURN_DELAY, "max_delay": TURN_DELAY},
                "preemptive_generation": {"enabled": False},
            },
            session_close_transcript_timeout=0.0,
        )
        self._no_room = no_room_io()

    async def start(self, agent: Agent, **_: Any) -> None:  # type: ignore[override]  # as a job does
        """Start without the room, whose sound there is none of."""
        if isinstance(self.input.audio, MixedAudioInput):
            self._levels = self.input.audio.levels
        self.input.audio = SilentMicrophone()
        await super().start(agent, record=False)

    @property
    def room_io(self) -> Any:
        """The connection of a session with a room, which does nothing here."""
        return self._no_room

    def push_transcript(self, text: str, identity: str) -> None:
        """Speak as somebody in the room, as a whole turn, if the tutor listens."""
        if not self.input.audio_enabled:
            return
        if self._levels is not None:
            self._levels.add(identity, LOUD, time.time())
        listener = self.current_agent.realtime_llm_session if self._realtime else self._recogniser
        if isinstance(listener, ScriptedRealtimeSession | TranscriptSTT):
            listener.push_transcript(text)


class SilentMicrophone(AudioInput):
    """A microphone without sound."""

    def __init__(self) -> None:
        super().__init__(label="silence")

    async def __anext__(self) -> rtc.AudioFrame:
        """Wait for sound, of which there is none."""
        await asyncio.Event().wait()
        raise StopAsyncIteration


class TranscriptSTT(stt.STT[Never]):
    """Speech recognition whose transcripts are provided by the caller."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True, interim_results=False, offline_recognize=False
            )
        )
        self.words: asyncio.Queue[str] = asyncio.Queue()

    def push_transcript(self, text: str) -> None:
        """Recognise a text."""
        self.words.put_nowait(text)

    async def _recognize_impl(self, *_: Any, **__: Any) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,  # noqa: ARG002  # LiveKit's signature
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Return what recognises a session's speech."""
        return _Transcripts(self, conn_options)


class _Transcripts(stt.RecognizeStream):
    def __init__(self, recogniser: TranscriptSTT, conn_options: APIConnectOptions) -> None:
        self.words = recogniser.words
        super().__init__(stt=recogniser, conn_options=conn_options)

    async def _run(self) -> None:
        while True:
            text = await self.words.get()
            kinds = stt.SpeechEventType
            alternatives = [stt.SpeechData(language=LanguageCode(""), text=text, confidence=1.0)]
            for event in (
                stt.SpeechEvent(kinds.START_OF_SPEECH),
                stt.SpeechEvent(kinds.FINAL_TRANSCRIPT, alternatives=alternatives),
                stt.SpeechEvent(kinds.END_OF_SPEECH),
            ):
                self._event_ch.send_nowait(event)


class ScriptedLLM(llm.LLM[Never]):
    """A language model that gives the script's replies, then no more."""

    def __init__(self, answers: Iterable[Reply]) -> None:
        super().__init__()
        self._answers = deque(REPLIES.validate_python(tuple(answers)))

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: Any,
    ) -> llm.LLMStream:
        """Answer with the next text."""
        reply = self._answers.popleft() if self._answers else ""
        return _Answer(self, reply, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _Answer(llm.LLMStream):
    def __init__(self, model: ScriptedLLM, reply: Reply, **stream: Any) -> None:
        super().__init__(model, **stream)
        self._reply = reply

    async def _run(self) -> None:
        delta = _delta_of(self._reply)
        self._event_ch.send_nowait(llm.ChatChunk(id="script", delta=delta))


def _delta_of(reply: Reply) -> llm.ChoiceDelta:
    if isinstance(reply, str):
        return llm.ChoiceDelta(role="assistant", content=reply)
    call = function_call(reply)
    tool = llm.FunctionToolCall(name=call.name, arguments=call.arguments, call_id=call.call_id)
    return llm.ChoiceDelta(role="assistant", tool_calls=[tool])
