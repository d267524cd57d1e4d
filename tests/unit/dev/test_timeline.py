"""The output of `loqua-host timeline` for a session's events."""

import pytest
from livekit.protocol.agent_pb import agent_session as pb

from loqua_host.dev.timeline import describe_event

Event = pb.AgentSessionEvent
Item = pb.ChatContext.ChatItem


def message(role: "pb.ChatRole", text: str, **latencies: float) -> Event:
    """Return the event of a message."""
    said = pb.ChatMessage(role=role, content=[pb.ChatMessage.ChatContent(text=text)])
    for name, seconds in latencies.items():
        setattr(said.metrics, name, seconds)
    return Event(conversation_item_added=Event.ConversationItemAdded(item=Item(message=said)))


def tools(*, is_error: bool = False, output: str = "2 cards") -> Event:
    """Return the event of a tool call."""
    call = pb.FunctionCall(call_id="1", name="due_cards", arguments='{"limit": 2}')
    answer = pb.FunctionCallOutput(call_id="1", output=output, is_error=is_error)
    executed = Event.FunctionToolsExecuted(function_calls=[call], function_call_outputs=[answer])
    return Event(function_tools_executed=executed)


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        pytest.param(
            message(pb.USER, "Yo soy estudiante.", transcription_delay=0.25, end_of_turn_delay=0.5),
            ["learner said: Yo soy estudiante.", "took: hearing 0.25 s, turn 0.50 s"],
            id="learner",
        ),
        pytest.param(
            message(pb.ASSISTANT, "¿De qué?", llm_node_ttft=0.4, tts_node_ttfb=0.2, e2e_latency=1),
            ["tutor said: ¿De qué?", "took: thinking 0.40 s, speaking 0.20 s, reply 1.00 s"],
            id="tutor",
        ),
        pytest.param(message(pb.SYSTEM, "You are a tutor."), [], id="instructions"),
        pytest.param(tools(), ['tool due_cards({"limit": 2}): 2 cards'], id="tool"),
        pytest.param(
            tools(is_error=True, output="no deck"),
            ['tool due_cards({"limit": 2}) failed: no deck'],
            id="failed tool",
        ),
        pytest.param(
            Event(agent_state_changed=Event.AgentStateChanged(new_state=pb.AS_THINKING)),
            ["tutor is thinking"],
            id="tutor's state",
        ),
        pytest.param(
            Event(user_state_changed=Event.UserStateChanged(new_state=pb.US_AWAY)),
            ["learner is away"],
            id="learner's state",
        ),
        pytest.param(
            Event(error=Event.Error(message="no\nvoice")), ["error: no voice"], id="error"
        ),
        pytest.param(Event(), [], id="unknown"),
    ],
)
def test_an_event_is_printed_in_words(event: Event, lines: list[str]) -> None:
    """The line contains the speaker, the text, the stages' times, and the tools' answers."""
    assert list(describe_event(event)) == lines


def test_nothing_that_is_said_steers_the_terminal() -> None:
    """A learner may type anything."""
    [line] = describe_event(message(pb.USER, "\x1b]0;x\x07hola\x1b[2J"))
    assert line.isprintable()
