"""Failures of an agent's own code in LiveKit: reported, counted, and followed by an apology.

The session is LiveKit's own, on real time.
"""
# ruff: noqa: ARG002  # methods take what LiveKit passes

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
import structlog
from livekit.agents import (
    Agent,
    AgentSession,
    APIConnectionError,
    APIConnectOptions,
    function_tool,
    llm,
)
from livekit.agents.llm import ToolError
from livekit.agents.voice.audio_recognition import _EndOfTurnInfo, _EndOfTurnMetrics

from loqua_host.contract.learner import Learner
from loqua_host.job.lesson import failures as module
from loqua_host.job.lesson.conversation import answer_typed
from loqua_host.job.lesson.failures import Failures, FailureWatch
from loqua_host.job.room.chat import Chat
from loqua_host.job.voice.session import LessonSession
from loqua_host.registry.author import Author, Failure

AT_ONCE = APIConnectOptions(max_retry=0)
MOST = 3


class ToolThenTextLLM(llm.LLM):
    """A language model that calls a tool if it has one, then replies."""

    def __init__(self, *tools: str, error: Exception | None = None) -> None:
        super().__init__()
        self.tools = list(tools)
        self.error = error

    def chat(self, *, chat_ctx: Any, tools: Any = None, **_: Any) -> llm.LLMStream:
        """Answer."""
        return ToolThenTextStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=AT_ONCE)


class ToolThenTextStream(llm.LLMStream):
    """One answer of that model."""

    async def _run(self) -> None:
        mind = self._llm
        assert isinstance(mind, ToolThenTextLLM)
        if mind.error:
            raise mind.error
        delta = llm.ChoiceDelta(role="assistant", content="Hola.")
        if mind.tools:
            called = llm.FunctionToolCall(name=mind.tools.pop(), arguments="{}", call_id="call_1")
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[called])
        self._event_ch.send_nowait(llm.ChatChunk(id="1", delta=delta))


class Talk:
    """A session with an agent, and its reported failures."""

    def __init__(self, session: LessonSession) -> None:
        self.session = session
        self.counted = self.apologies = self.given_up = 0
        self.author = Author(["tests"])
        self.failures = Failures(
            session,
            MOST,
            report=self.report,
            apologise=self.apologise,
            give_up=self.give_up,
        )
        self.watch = FailureWatch(self.author, self.failures.on_failure)

    def report(self, failure: Failure) -> None:
        """Log and count a failure."""
        module.log_failure("probe", failure)
        self.counted += 1

    def apologise(self) -> None:
        """Count an apology."""
        self.apologies += 1

    def give_up(self) -> None:
        """Count an end."""
        self.given_up += 1

    async def spoken(self, text: str = "hola") -> None:
        """Speak as the learner, from the moment the words are recognised."""
        self.failures.begin_turn()
        activity = self.session._activity
        assert activity is not None
        metrics = _EndOfTurnMetrics(None, None, None, None)
        turn = _EndOfTurnInfo(
            skip_reply=False, new_transcript=text, transcript_confidence=1.0, metrics=metrics
        )
        activity.on_end_of_turn(turn)
        task = activity._user_turn_completed_atask
        assert task is not None
        await asyncio.wait({task})

    async def settled(self) -> None:
        """Wait until a failure has been answered."""
        await asyncio.sleep(4 * module.POLL_SECONDS + module.UNCLAIMED_SECONDS)


Logs = list[Any]
MARIA = Learner(user_id="maria", identity="maria")


@pytest.fixture(autouse=True)
def logs(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Check sooner than in a lesson, and return the log."""
    monkeypatch.setattr(module, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(module, "UNCLAIMED_SECONDS", 0.05)
    logging.getLogger().setLevel(logging.WARNING)
    with structlog.testing.capture_logs() as logs:
        yield logs


@pytest.fixture
async def talk_with() -> AsyncIterator[Callable[..., Any]]:
    """Return what starts a session with an agent."""
    talks = []

    async def start(agent: Agent, mind: ToolThenTextLLM | None = None) -> Talk:
        talk = Talk(LessonSession(llm=mind or ToolThenTextLLM()))
        talk.failures.watch()
        watching = talk.watch.watching()
        watching.__enter__()
        talks.append((talk, watching))
        await talk.session.start(agent, record=False)
        return talk

    yield start
    for talk, watching in talks:
        await talk.session.aclose()
        watching.__exit__(None, None, None)


def logged_failures(logs: Logs) -> list[Any]:
    """Return the failures that were logged."""
    return [log for log in logs if log["event"] == "agent.failed"]


class Entering(Agent):
    """An agent that fails in `on_enter`."""

    async def on_enter(self) -> None:
        """Fail."""
        raise ValueError("no greeting")


class FailingAgent(Agent):
    """An agent that fails at each turn of the learner."""

    async def on_user_turn_completed(
        self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
    ) -> None:
        """Fail, some way down."""
        self.judge(new_message.text_content or "")

    def judge(self, text: str) -> None:
        """Divide by the number of words, which is 0."""
        len(text) / 0


class Thinking(Agent):
    """An agent that fails in its `llm_node`."""

    async def llm_node(self, chat_ctx: Any, tools: Any, model_settings: Any) -> Any:
        """Fail at the first piece."""
        async for _ in Agent.default.llm_node(self, chat_ctx, tools, model_settings):
            raise ValueError("no thought")
        yield ""


class Tooled(Agent):
    """An agent with failing tools."""

    @function_tool
    async def learn(self) -> str:
        """Fail."""
        raise ValueError("no words")

    @function_tool
    async def decline(self) -> str:
        """Refuse the model's request."""
        raise ToolError("not today")


async def test_a_callback_that_livekit_calls_for_a_spoken_turn(
    talk_with: Any, logs: Logs, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted and logged once, with the author's lines only; the learner hears an apology."""
    talk = await talk_with(FailingAgent(instructions=""))
    await talk.spoken()
    await talk.settled()
    [failed] = logged_failures(logs)
    assert failed["callback"] == "FailingAgent.on_user_turn_completed"
    assert failed["at"].startswith("test_failures.py:")
    assert failed["why"] == "raised ZeroDivisionError"
    steps = structlog.processors._figure_out_exc_info(failed["exc_info"])[2]
    names = []
    while steps is not None:
        names.append(steps.tb_frame.f_code.co_name)
        steps = steps.tb_next
    assert names == ["on_user_turn_completed", "judge"]
    assert (talk.counted, talk.apologies, talk.given_up) == (1, 1, 0)
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_callback_for_a_typed_turn(
    talk_with: Any, logs: Logs, job: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Its exception is caught, and the chat continues."""
    talk = await talk_with(FailingAgent(instructions=""))
    chat = Chat(job.room, lambda: {"maria": MARIA}, partial(answer_typed, talk.session))
    chat.watch()
    await job.room.write("maria", "hola")
    await talk.settled()
    chat.unwatch()
    assert not [record for record in caplog.records if record.exc_info]
    assert [failed["callback"] for failed in logged_failures(logs)] == [
        "FailingAgent.on_user_turn_completed"
    ]
    assert (talk.counted, talk.apologies) == (1, 1)


async def test_an_agent_that_fails_as_it_begins(talk_with: Any, logs: Logs) -> None:
    """The session begins all the same."""
    talk = await talk_with(Entering(instructions=""))
    await talk.settled()
    assert [failed["callback"] for failed in logged_failures(logs)] == ["Entering.on_enter"]
    assert (talk.counted, talk.apologies) == (1, 1)


async def test_a_node_that_fails(talk_with: Any, logs: Logs) -> None:
    """The reply is lost."""
    talk = await talk_with(Thinking(instructions=""))
    await talk.spoken()
    await talk.settled()
    await talk.settled()
    assert [failed["callback"] for failed in logged_failures(logs)] == ["Thinking.llm_node"]
    assert (talk.counted, talk.apologies) == (1, 1)


async def test_an_engine_that_fails_is_no_failure_of_the_authors(
    talk_with: Any, logs: Logs
) -> None:
    """Although what it raises passes the agent's own node."""
    talk = await talk_with(Thinking(instructions=""), ToolThenTextLLM(error=APIConnectionError()))
    await talk.spoken()
    await talk.settled()
    assert logged_failures(logs) == []


async def test_a_tool_that_fails(talk_with: Any, logs: Logs) -> None:
    """It is counted; the model gets it, and answers."""
    talk = await talk_with(Tooled(instructions=""), ToolThenTextLLM("learn"))
    await talk.session.run(user_input="hola")
    await talk.settled()
    assert [failed["callback"] for failed in logged_failures(logs)] == ["Tooled.learn"]
    assert talk.counted == 1


async def test_a_tool_that_tells_the_model_why_not(talk_with: Any, logs: Logs) -> None:
    """LiveKit's ToolError is an answer to the model, not a failure."""
    talk = await talk_with(Tooled(instructions=""), ToolThenTextLLM("decline"))
    await talk.session.run(user_input="hola")
    await talk.settled()
    assert logged_failures(logs) == []
    assert talk.counted == 0


@pytest.mark.parametrize("error", [ValueError, TypeError])
async def test_a_handler_of_an_event(talk_with: Any, logs: Logs, error: type[Exception]) -> None:
    """The caller continues and other handlers get the event, also with a TypeError."""
    talk = await talk_with(Agent(instructions=""))
    heard = []

    def fail(_: object) -> None:
        raise error("no such event")

    talk.session.on("speech_created", fail)
    talk.session.on("speech_created", heard.append)
    await talk.session.generate_reply(user_input="hola")
    await talk.settled()
    assert len(heard) == 1
    assert [failed["callback"].rpartition(".")[2] for failed in logged_failures(logs)] == ["fail"]


@pytest.mark.parametrize("kept", [True, False])
async def test_a_task_that_nobody_asks_for(talk_with: Any, logs: Logs, kept: bool) -> None:
    """It is logged soon, although a reference keeps it and Python would log nothing."""
    talk = await talk_with(Agent(instructions=""))

    async def fail() -> None:
        raise ValueError("no work")

    tasks = [asyncio.create_task(fail())]
    if not kept:
        tasks.clear()
    await talk.settled()
    assert len(logged_failures(logs)) == talk.counted == 1


async def test_a_task_whose_author_sees_to_its_failure(talk_with: Any, logs: Logs) -> None:
    """Is none."""
    talk = await talk_with(Agent(instructions=""))

    async def fail() -> None:
        raise ValueError("no work")

    [outcome] = await asyncio.gather(asyncio.create_task(fail()), return_exceptions=True)
    assert isinstance(outcome, ValueError)
    await talk.settled()
    assert logged_failures(logs) == []


async def test_what_an_author_logs_is_no_failure(talk_with: Any, logs: Logs) -> None:
    """They have seen to it."""
    talk = await talk_with(Agent(instructions=""))
    try:
        len("") / 0
    except ZeroDivisionError:
        logging.getLogger("tutor").exception("seen to")
    await talk.settled()
    assert logged_failures(logs) == []


async def test_a_lesson_whose_agent_hears_nothing_any_more_is_given_up_at_once() -> None:
    """LiveKit does not begin that node again: no further turn would come."""

    class Deafened(Agent):
        """An agent that fails in its `stt_node`."""

        async def stt_node(self, audio: Any, model_settings: Any) -> Any:
            """Fail at the first sound."""
            raise ValueError("no audio")
            yield

    talk = Talk(LessonSession(llm=ToolThenTextLLM()))
    node = Deafened(instructions="").stt_node(None, None)
    with pytest.raises(ValueError, match="no audio") as caught:
        await anext(node)
    failure = talk.author.failure(caught.value)
    assert failure is not None
    talk.failures.on_failure(failure)
    assert talk.given_up == 1


async def test_after_some_failed_turns_in_a_row_the_lesson_is_given_up(talk_with: Any) -> None:
    """Each before the last is answered by an apology."""
    talk = await talk_with(FailingAgent(instructions=""))
    for _ in range(MOST):
        await talk.spoken()
        await talk.settled()
    assert (talk.counted, talk.apologies, talk.given_up) == (MOST, MOST - 1, 1)


async def test_a_turn_that_goes_well_begins_the_count_anew(talk_with: Any) -> None:
    """An agent that fails now and then teaches on."""

    class Moody(Agent):
        """An agent that fails when a test says so."""

        async def on_user_turn_completed(
            self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage
        ) -> None:
            """Fail if so."""
            if new_message.text_content == "fail":
                raise ValueError("on request")

    talk = await talk_with(Moody(instructions=""))
    for said in ("fail", "fail", "well", "fail", "fail"):
        await talk.spoken(said)
        await talk.settled()
    assert (talk.counted, talk.given_up) == (4, 0)


async def test_many_failures_in_one_turn_are_one_failed_turn(talk_with: Any) -> None:
    """A handler of an event that comes often does not end a lesson in its first minute."""
    talk = await talk_with(Agent(instructions=""))

    def fail(_: object) -> None:
        raise ValueError("no such event")

    talk.session.on("agent_state_changed", fail)
    talk.session.on("conversation_item_added", fail)
    await talk.session.generate_reply(user_input="hola")
    await talk.settled()
    assert talk.counted > MOST
    assert (talk.apologies, talk.given_up) == (0, 0)


async def test_an_agent_that_fails_as_it_ends(logs: Logs) -> None:
    """The session closes, and nobody apologises any more."""

    class Leaving(Agent):
        """An agent that fails in `on_exit`."""

        async def on_exit(self) -> None:
            """Fail."""
            raise ValueError("no goodbye")

    talk = Talk(LessonSession(llm=ToolThenTextLLM()))
    talk.failures.watch()
    with talk.watch.watching():
        await talk.session.start(Leaving(instructions=""), record=False)
        talk.failures.unwatch()
        await talk.session.aclose()
        await talk.settled()
    assert [failed["callback"].rpartition(".")[2] for failed in logged_failures(logs)] == [
        "on_exit"
    ]
    assert (talk.counted, talk.apologies) == (1, 0)


def test_a_session_of_livekits_would_lose_an_event_to_a_type_error() -> None:
    """This is the reason for `LessonSession.emit`. If it fails, remove both."""
    assert LessonSession.emit is not AgentSession.emit
