"""Learners' words, absent from logs and traces in all of LiveKit's code paths.

The session is LiveKit's own, the log and the spans go the way that a job sends them to the host,
and everything is logged, down to the last detail.
"""

import asyncio
import contextlib
import gc
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from livekit.agents import (
    Agent,
    AgentSession,
    APIConnectOptions,
    APIStatusError,
    function_tool,
    llm,
    telemetry,
)
from livekit.agents.ipc import log_queue
from livekit.agents.utils import log_exceptions
from livekit.agents.voice.agent_activity import _EndOfTurnInfo
from livekit.agents.voice.generation import ToolError
from livekit.rtc.event_emitter import EventEmitter
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from loqua_host.errors import HookFailedError
from loqua_host.job import logs as module
from loqua_host.job.tracing import SpanBuffer
from loqua_host.registry.caller import HookCaller
from loqua_host.settings.hooks import HookLimits

WORDS = ("zebra", "quokka", "wombat")
SAID = " ".join(WORDS)
AT_ONCE = APIConnectOptions(max_retry=0)


class Sent:
    """The log records and spans that a job sends to the host."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.spans = SpanBuffer()

    def send_bytes(self, data: bytes) -> None:
        """Take a record, as LiveKit's channel does."""
        self.records.append(data)

    def close(self) -> None:
        """Take no more."""

    def text(self) -> str:
        """Return all of it as text."""
        logging.getLogger().handlers[0].close()
        logging.getLogger().handlers[0].thread.join()  # type: ignore[attr-defined]  # LiveKit's
        spans = [message.model_dump_json() for message in self.spans.drain()]
        return "\n".join([record.decode() for record in self.records] + spans)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    """Log and trace as a job does, and more."""
    sent = Sent()
    names = ("", "httpx", "httpx2", "livekit", "livekit.agents", "openai", "loqua_host", "asyncio")
    levels = {name: logging.getLogger(name).level for name in names}
    handler = log_queue.LogQueueHandler(sent)  # type: ignore[arg-type]  # in the socket's place
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    monkeypatch.setattr(log_queue, "pickle", log_queue.pickle)  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    module.send_logs_to_host()
    structlog.configure(cache_logger_on_first_use=False)
    for name in names:
        logging.getLogger(name).setLevel(1)
    provider = TracerProvider(shutdown_on_exit=False)
    telemetry.set_tracer_provider(provider, allow_pii=False)
    provider.add_span_processor(sent.spans)
    yield sent
    telemetry.set_tracer_provider(trace.NoOpTracerProvider())
    logging.captureWarnings(capture=False)
    handler.close()
    structlog.reset_defaults()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


class QuotingLLM(llm.LLM):
    """A model that calls tools with the learner's words, repeats them, or fails quoting them."""

    def __init__(self, *tools: str, fails: bool = False) -> None:
        super().__init__()
        self.tools = list(tools)
        self.fails = fails

    def chat(self, *, chat_ctx: Any, tools: Any = None, **_: Any) -> llm.LLMStream:
        """Answer."""
        return QuotingLLMStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=AT_ONCE)


class QuotingLLMStream(llm.LLMStream):
    """A reply of the model."""

    async def _run(self) -> None:
        mind = self._llm
        assert isinstance(mind, QuotingLLM)
        if mind.tools:
            tool = mind.tools.pop(0)
            arguments = SAID if tool == "unreadable" else f'{{"words": "{SAID}"}}'
            called = llm.FunctionToolCall(name="learn", arguments=arguments, call_id="call_1")
            if tool == "unknown":
                called.name = SAID
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[called])
        elif mind.fails:
            raise APIStatusError(f"cannot answer {SAID}", status_code=400, body={"input": SAID})
        else:
            delta = llm.ChoiceDelta(role="assistant", content=SAID)
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


class ToolAgent(Agent):
    """An agent with a tool whose function a test sets."""

    def __init__(self, learn: Callable[[str], object]) -> None:
        super().__init__(instructions=f"The learner's name is {SAID}.")
        self._learn = learn

    @function_tool
    async def learn(self, words: str) -> object:
        """Learn words."""
        return self._learn(words)


def quoting(kind: type[Exception]) -> Callable[[str], object]:
    """Return a tool that raises what it is given."""

    def fail(words: str) -> object:
        raise kind(f"no such words: {words}")

    return fail


TOOLS: dict[str, tuple[Callable[[str], object], tuple[str, ...]]] = {
    "returns": (lambda words: words, ("learn",)),
    "returns what is no JSON": (lambda words: {1j: words}, ("learn",)),
    "raises": (quoting(ValueError), ("learn",)),
    "raises for the model": (quoting(ToolError), ("learn",)),
    "raises by itself": (int, ("learn",)),
    "is called with other arguments": (lambda words: words, ("unreadable",)),
    "is not there": (lambda words: words, ("unknown",)),
}


def assert_unsaid(sent: Sent, *wanted: str) -> None:
    """Check that there is something, and nothing of what was said."""
    text = sent.text()
    for one in wanted:
        assert one in text
    for word in WORDS:
        assert word not in text


@pytest.mark.parametrize(("learn", "calls"), TOOLS.values(), ids=TOOLS)
async def test_a_typed_turn_with_a_tool(
    sent: Sent, learn: Callable[[str], object], calls: tuple[str, ...]
) -> None:
    """The text, the tool's arguments, its result, and the answer are redacted."""
    async with AgentSession[None](llm=QuotingLLM(*calls)) as session:
        await session.start(ToolAgent(learn), record=False)
        await session.run(user_input=SAID)
    assert_unsaid(sent, "livekit.agents", "llm_request", "agent_turn")


async def test_a_model_that_quotes_what_it_was_given_as_it_fails(sent: Sent) -> None:
    """Providers put the request into their error."""
    async with AgentSession[None](llm=QuotingLLM(fails=True)) as session:
        await session.start(ToolAgent(str), record=False)
        await session.generate_reply(user_input=SAID)
    assert_unsaid(sent, "APIStatusError")


async def test_a_turn_that_comes_too_late(sent: Sent) -> None:
    """A learner leaves in the middle of a sentence, and the session closes."""
    async with AgentSession[None](llm=QuotingLLM()) as session:
        await session.start(ToolAgent(str), record=False)
        activity = session._activity
        assert activity is not None
        await activity.drain()
        turn = _EndOfTurnInfo(
            skip_reply=False,
            new_transcript=SAID,
            transcript_confidence=1.0,
            metrics=SimpleNamespace(),  # type: ignore[arg-type]  # unread
        )
        activity.on_end_of_turn(turn)
    assert_unsaid(sent, "skipping user input, speech scheduling is paused")


def handler_fails() -> None:
    """Raise in the handlers of a chat and of a changed attribute."""
    room = EventEmitter[str]()
    room.on("data_received", int)
    room.emit("data_received", SAID)


async def task_fails() -> None:
    """Fail in a task whose result nobody retrieves."""

    async def fail() -> None:
        raise ValueError(SAID)

    asyncio.create_task(fail(), name=SAID)  # noqa: RUF006  # the mistake
    await asyncio.sleep(1)
    gc.collect()


async def decorated_task_fails() -> None:
    """Fail in a task like most of LiveKit's own."""

    @log_exceptions(msg=f"cannot say {SAID}", logger=logging.getLogger("livekit.agents"))
    async def fail() -> None:
        raise ValueError(SAID)

    with contextlib.suppress(ValueError):
        await fail()


def thread_fails() -> None:
    """Fail in a thread: Python writes its traceback to stderr, which is the host's log."""
    thread = threading.Thread(target=int, args=(SAID,), name=SAID)
    thread.start()
    thread.join()


def collection_fails() -> None:
    """Fail in a finaliser, whose traceback Python writes to stderr too."""

    class Careless:
        def __del__(self) -> None:
            raise ValueError(SAID)

    Careless()
    gc.collect()


def warns() -> None:
    """Warn, which Python writes to stderr too."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn(f"cannot say {SAID}", stacklevel=1)


def keys_are_pressed() -> None:
    """Log keys like LiveKit's GetDtmfTask (beta/workflows/dtmf_inputs.py)."""
    log = logging.getLogger("livekit.agents")
    log.info("DTMF inputs received", extra={"lk.pii.dtmf_inputs": SAID})


def room_event_is_quoted() -> None:
    """Log a failed callback like LiveKit's rtc.Room: a chat, or changed attributes."""
    event = SimpleNamespace(text=SAID, attributes={"email": SAID, "display_name": SAID})
    logging.error("error running user callback for %s: %s", "data", event)  # noqa: LOG015


def speech_is_quoted() -> None:
    """Log the body of an answer, like a provider's plugin."""
    error = APIStatusError(f"no voice for {SAID}", body={"input": SAID})
    log = logging.getLogger("livekit.plugins.some")
    said = f"failed to synthesize {SAID!r}, retrying"
    log.warning(said, exc_info=error, extra={"body": SAID})


WAYS = (
    *(handler_fails, task_fails, decorated_task_fails, thread_fails, collection_fails, warns),
    *(keys_are_pressed, room_event_is_quoted, speech_is_quoted),
)


@pytest.mark.parametrize("way", WAYS)
async def test_other_ways_into_a_log(
    sent: Sent, capfd: pytest.CaptureFixture[str], way: Callable[[], Any]
) -> None:
    """Each is logged, and not written to stderr."""
    asyncio.get_running_loop().set_exception_handler(None)
    if asyncio.iscoroutine(coroutine := way()):
        await coroutine
    assert_unsaid(sent)
    assert sent.records
    output = capfd.readouterr()
    assert output.out + output.err == ""


async def test_a_hook_that_raises_what_the_learner_said(sent: Sent, job: Any) -> None:
    """The log has the error's type, the place and the constant words."""

    class Hooks:
        def on_user_ready(self, **_: object) -> list[object]:
            async def fail() -> None:
                raise ValueError(f"no such word: {SAID}")

            return [fail()]

    tutor = SimpleNamespace(name="probe")
    loaded: Any = SimpleNamespace(
        source="probe",
        tutor=tutor,
        packages=frozenset(),
        manager=SimpleNamespace(hook=Hooks()),
    )
    with pytest.raises(HookFailedError) as caught:
        await HookCaller(loaded, HookLimits()).on_user_ready(job.lesson)
    assert SAID not in str(caught.value)
    assert_unsaid(sent, "raised ValueError: no such word: \u2026", "test_what_learners_say.py")
