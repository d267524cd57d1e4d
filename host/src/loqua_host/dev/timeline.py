"""`loqua-host timeline`: turns, latencies and tool calls of the lessons in a room, as they happen.

LiveKit's sessions describe themselves on a topic of byte streams (livekit-agents 1.8.9,
voice/remote_session.py; messages in livekit.protocol). With `lessons.timeline`, jobs send that
description to the participant that this module enters a room as, and to nobody else.
"""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from typing import Final

from livekit import api, rtc
from livekit.protocol.agent_pb import agent_session as pb

from loqua_host.livekit_internals import TIMELINE_TOPIC, TIMELINE_WATCHER
from loqua_host.settings.problems import printable
from loqua_host.settings.secrets import LiveKitKey
from loqua_host.system.tasks import background

from .senders import Senders

__all__ = ["describe_event", "print_streams", "watch_timeline"]

METRICS: Final = {
    "transcription_delay": "hearing",
    "end_of_turn_delay": "turn",
    "llm_node_ttft": "thinking",
    "tts_node_ttfb": "speaking",
    "e2e_latency": "reply",
}
"""Stages of a reply by LiveKit's name, as on the status page."""

ROLES: Final = {pb.USER: "learner", pb.ASSISTANT: "tutor"}


async def watch_timeline(url: str, key: LiveKitKey, room: str, say: Callable[[str], None]) -> None:
    """Print what happens in the lessons of a room, until it is closed.

    Nobody in the room sees the watcher.

    Args:
        url: LiveKit's address.
        key: Its API key.
        room: The name of the room.
        say: Prints a line.

    Raises:
        rtc.ConnectError: If LiveKit is out of reach or refuses the key.
    """
    entered, closed = rtc.Room(), asyncio.Event()
    streams: asyncio.Queue[tuple[rtc.ByteStreamReader, str]] = asyncio.Queue()
    entered.on("disconnected", lambda _: closed.set())
    entered.register_byte_stream_handler(TIMELINE_TOPIC, lambda *one: streams.put_nowait(one))
    await entered.connect(url, _token(key, room))
    say(f"watching {printable(room)}; this shows what happens from now on")
    try:
        async with background() as tasks:
            tasks.create_task(print_streams(Senders(entered), streams, say))
            await closed.wait()
    finally:
        await entered.disconnect()


def describe_event(event: pb.AgentSessionEvent) -> Iterator[str]:
    """Yield the lines about an event: what was said, a tool call, a state, a failure."""
    match event.WhichOneof("event"):
        case "conversation_item_added":
            yield from _describe_item(event.conversation_item_added.item)
        case "agent_state_changed":
            state = pb.AgentState.Name(event.agent_state_changed.new_state)
            yield f"tutor is {state.removeprefix('AS_').lower()}"
        case "user_state_changed":
            state = pb.UserState.Name(event.user_state_changed.new_state)
            yield f"learner is {state.removeprefix('US_').lower()}"
        case "function_tools_executed":
            yield from _describe_tools(event.function_tools_executed)
        case "error":
            yield f"error: {printable(event.error.message)}"


async def print_streams(
    senders: Senders,
    streams: asyncio.Queue[tuple[rtc.ByteStreamReader, str]],
    say: Callable[[str], None],
) -> None:
    """Print tutors' streams, one after the other, in the order in which they were sent."""
    while True:
        reader, identity = await streams.get()
        text = b"".join([chunk async for chunk in reader])
        sender = await senders.find(identity)
        # Others in the room may send anything.
        if sender is not None and sender.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
            for line in _lines(text, printable(sender.name or identity)):
                say(line)


def _lines(text: bytes, name: str) -> Iterator[str]:
    message = pb.AgentSessionMessage()
    message.ParseFromString(text)
    at = message.event.created_at.ToDatetime(UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
    for line in describe_event(message.event):
        yield f"{at} {name}: {line}"


def _describe_item(item: pb.ChatContext.ChatItem) -> Iterator[str]:
    role = ROLES.get(item.message.role)
    if not item.HasField("message") or role is None:
        return
    said = printable(" ".join(content.text for content in item.message.content))
    interrupted = " (interrupted)" if item.message.interrupted else ""
    yield f"{role} said: {said}{interrupted}"
    metrics = item.message.metrics
    took = [
        f"{stage} {getattr(metrics, name):.2f} s"
        for name, stage in METRICS.items()
        if metrics.HasField(name)
    ]
    if took:
        yield f"took: {', '.join(took)}"


def _describe_tools(executed: pb.AgentSessionEvent.FunctionToolsExecuted) -> Iterator[str]:
    outputs = {one.call_id: one for one in executed.function_call_outputs}
    for call in executed.function_calls:
        output = outputs.get(call.call_id)
        output_text = "no output" if output is None else printable(output.output)
        failed = " failed" if output is not None and output.is_error else ""
        yield f"tool {printable(call.name)}({printable(call.arguments)}){failed}: {output_text}"


def _token(key: LiveKitKey, room: str) -> str:
    grants = api.VideoGrants(
        room_join=True, room=room, hidden=True, can_publish=False, can_publish_data=False
    )
    token = api.AccessToken(key.key.get_secret_value(), key.secret.get_secret_value())
    token = token.with_identity(TIMELINE_WATCHER).with_ttl(timedelta(hours=6))
    return token.with_grants(grants).to_jwt()
