"""A realtime model without audio: it receives words, and answers by script."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal, Never

from livekit import rtc
from livekit.agents import NOT_GIVEN, NotGivenOr, llm
from livekit.agents.utils import shortuuid

from loqua_host.job.voice.session import VERBATIM

from .replies import Reply, function_call

__all__ = ["ScriptedRealtime"]

CAPABILITIES = llm.RealtimeCapabilities(
    message_truncation=True,
    turn_detection=True,
    user_transcription=True,
    auto_tool_reply_generation=False,
    audio_output=True,
    manual_function_calls=True,
    mutable_chat_context=True,
    mutable_instructions=True,
    mutable_tools=True,
    per_response_tool_choice=True,
)
"""The capabilities of OpenAI's model, except that the model always ends turns itself."""

SECONDS_PER_CHARACTER = 0.05
RATE = 24_000


class ScriptedRealtime(llm.RealtimeModel):
    """A realtime model that answers with scripted replies, then stays silent.

    Args:
        replies: What it answers, in order.
    """

    def __init__(self, replies: Iterable[Reply] = ()) -> None:
        super().__init__(capabilities=CAPABILITIES)
        self.replies = deque(replies)

    def session(self, *, turn_detection_disabled: bool = False) -> "ScriptedRealtimeSession":  # noqa: ARG002  # LiveKit's signature
        """Return a session; each agent has one."""
        return ScriptedRealtimeSession(self)

    async def aclose(self) -> None:
        """Close nothing: there is no connection."""


class ScriptedRealtimeSession(llm.RealtimeSession[Never]):
    """The conversation of one agent with its model.

    Attributes:
        instructions: The agent's instructions.
    """

    def __init__(self, model: ScriptedRealtime) -> None:
        super().__init__(model)
        self._model = model
        self._chat_ctx = llm.ChatContext.empty()
        self._tools = llm.ToolContext.empty()
        self._speaking: asyncio.Event | None = None
        self.instructions = ""

    def push_transcript(self, text: str) -> None:
        """Receive a whole turn of the learner, and answer it."""
        self.emit("input_speech_started", llm.InputSpeechStartedEvent())
        self.emit("input_speech_stopped", llm.InputSpeechStoppedEvent(True))
        item = self._chat_ctx.add_message(role="user", content=text)
        transcript = llm.InputTranscriptionCompleted(
            item_id=item.id, transcript=text, is_final=True
        )
        self.emit("input_audio_transcription_completed", transcript)
        if self._model.replies:
            self.emit("generation_created", self._generate(self._model.replies.popleft()))

    def fail(self, error: Exception) -> None:
        """Break off for good, as on a lost connection."""
        label = self._model.label
        failed = llm.RealtimeModelError(timestamp=0.0, label=label, error=error, recoverable=False)
        self.emit("error", failed)

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,  # noqa: ARG002  # LiveKit's signature
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,  # noqa: ARG002  # LiveKit's signature
    ) -> "asyncio.Future[llm.GenerationCreatedEvent]":
        """Answer with the next reply, or with the requested sentence."""
        asked = instructions or ""
        reply: Reply = asked.removeprefix(VERBATIM) if asked.startswith(VERBATIM) else ""
        if not reply and self._model.replies:
            reply = self._model.replies.popleft()
        created = self._generate(reply, user_initiated=True)
        answer = asyncio.get_running_loop().create_future()
        self.emit("generation_created", created)
        answer.set_result(created)
        return answer

    def _generate(self, reply: Reply, *, user_initiated: bool = False) -> Any:
        self._speaking = asyncio.Event()
        said = isinstance(reply, str) and reply
        return llm.GenerationCreatedEvent(
            message_stream=_each(self._message(reply, self._speaking)) if said else _each(),  # type: ignore[arg-type]  # a text
            function_stream=_each() if isinstance(reply, str) else _each(function_call(reply)),
            user_initiated=user_initiated,
            response_id=shortuuid("response_"),
        )

    def _message(self, text: str, interrupted: asyncio.Event) -> llm.MessageGeneration:
        modalities: asyncio.Future[list[Literal["text", "audio"]]] = asyncio.Future()
        modalities.set_result(["text", "audio"])
        item = self._chat_ctx.add_message(role="assistant", content=text)
        sound = _sound(len(text) * SECONDS_PER_CHARACTER, interrupted)
        return llm.MessageGeneration(item.id, _each(text), sound, modalities)

    @property
    def chat_ctx(self) -> llm.ChatContext:
        """The conversation so far."""
        return self._chat_ctx.copy()

    @property
    def tools(self) -> llm.ToolContext:
        """The agent's function tools."""
        return self._tools.copy()

    async def update_instructions(self, instructions: str) -> None:
        """Take other instructions."""
        self.instructions = instructions

    async def update_chat_ctx(self, chat_ctx: llm.ChatContext) -> None:
        """Take another conversation."""
        self._chat_ctx = chat_ctx.copy()

    async def update_tools(self, tools: list[llm.Tool]) -> None:
        """Take other function tools."""
        self._tools = llm.ToolContext(tools)

    def update_options(self, *, tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN) -> None:
        """Ignore which tools it should prefer."""

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """Ignore sound."""

    def push_video(self, frame: rtc.VideoFrame) -> None:
        """Ignore pictures."""

    def commit_audio(self) -> None:
        """Ignore whose turn it is."""

    def clear_audio(self) -> None:
        """Forget no sound."""

    def interrupt(self) -> None:
        """Stop speaking."""
        if self._speaking is not None:
            self._speaking.set()

    def truncate(self, *, message_id: str, **_: Any) -> None:
        """Forget what was not played."""

    async def aclose(self) -> None:
        """Stop speaking."""
        self.interrupt()


async def _each(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


async def _sound(seconds: float, interrupted: asyncio.Event) -> AsyncIterator[rtc.AudioFrame]:
    """Yield silence of a length, in pieces of 100 ms, until it is interrupted."""
    for _ in range(max(1, round(seconds * 10))):
        if interrupted.is_set():
            return
        yield rtc.AudioFrame.create(RATE, 1, RATE // 10)
