"""Repetition of a greeting that the learner interrupted and did not hear.

A learner who speaks interrupts the current sentence, even before its first audio is played. A
learner who speaks while the tutor joins would otherwise not hear the greeting.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from livekit.agents import Agent, AgentSession, UserStateChangedEvent
from livekit.agents.llm import ChatContext, ChatMessage, FunctionCall
from livekit.agents.types import NotGiven
from livekit.agents.voice import SpeechHandle
from livekit.agents.voice.io import PlaybackFinishedEvent, PlaybackStartedEvent

from .nodes import replace

__all__ = ["Greeting"]

HEARD_SECONDS: Final = 1.0
"""Seconds of a sentence after which it counts as heard."""

TIMES: Final = 3
"""Maximum repetitions of a sentence, each after a turn of the learner."""


@dataclass(slots=True, eq=False)
class _Said:
    """A sentence of the greeting, how to repeat it, and how often it has been repeated."""

    handle: SpeechHandle
    again: Callable[[], SpeechHandle]
    times: int = 0


class Greeting:
    """Repeat, in order, what the tutor said before `end` and the learner did not hear.

    It is said after the learner's turn and before the tutor's answer. Code that awaits the original
    speech continues as after any interruption.

    Args:
        session: The voice session.
    """

    def __init__(self, session: "AgentSession[Any]") -> None:
        self._session = session
        self._open = True
        self._saying: list[_Said] = []
        self._queued: list[_Said] = []
        self._say, self._reply = session.say, session.generate_reply
        self._interrupt = session.interrupt
        self._played = 0.0
        self._began_at = float("inf")
        self._spoke_at = 0.0

    def watch(self) -> None:
        """Start to follow the tutor's speech."""
        replace(self._session, "say", self._follow_say)
        replace(self._session, "generate_reply", self._follow_reply)
        replace(self._session, "interrupt", self._follow_interrupt)
        self._session.on("user_state_changed", self._on_learner)

    def unwatch(self) -> None:
        """Stop repeating."""
        self._session.off("user_state_changed", self._on_learner)
        self.end()
        self._forget()

    def end(self) -> None:
        """End the greeting: later speech is not part of it."""
        self._open = False

    def attach(self, agent: Agent) -> None:
        """Wrap an agent's `on_user_turn_completed`, to repeat the greeting before its answer."""
        take = agent.on_user_turn_completed

        async def greet_first(turn_ctx: ChatContext, new_message: ChatMessage) -> None:
            self._say_again()
            await take(turn_ctx, new_message=new_message)

        replace(agent, "on_user_turn_completed", greet_first)

    def _follow_say(self, text: Any, **options: Any) -> SpeechHandle:
        say = partial(self._say, text, **options)
        once = not isinstance(text, str) or not isinstance(options.get("audio"), NotGiven | None)
        return say() if once else self._follow(say)

    def _follow_reply(self, **options: Any) -> SpeechHandle:
        reply = partial(self._reply, **options)
        return reply() if options.get("user_input") else self._follow(reply)

    def _follow_interrupt(self, **options: Any) -> Any:
        """Do not repeat what code interrupts."""
        self._forget()
        return self._interrupt(**options)

    def _forget(self) -> None:
        self._saying.clear()
        self._queued.clear()

    def _follow(self, say: Callable[[], SpeechHandle]) -> SpeechHandle:
        handle = say()
        if self._open:
            self._note(_Said(handle, say))
        return handle

    def _note(self, said: _Said) -> None:
        self._saying.append(said)
        if (output := self._session.output.audio) is not None:
            output.on("playback_started", self._on_began)
            output.on("playback_finished", self._on_played)
        said.handle.add_done_callback(lambda _: self._on_said(said))

    def _on_began(self, event: PlaybackStartedEvent) -> None:
        self._began_at = event.created_at

    def _on_played(self, event: PlaybackFinishedEvent) -> None:
        self._played += event.playback_position

    def _on_learner(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._spoke_at = event.created_at

    def _on_said(self, said: _Said) -> None:
        if said not in self._saying:
            return
        self._saying.remove(said)
        heard = self._played >= HEARD_SECONDS and self._spoke_at >= self._began_at
        self._played, self._began_at = 0.0, float("inf")
        if said.handle.interrupted and not heard:
            self._queue(said)
        elif said.handle.interrupted:
            self._forget()

    def _queue(self, said: _Said) -> None:
        """Queue a sentence for repetition, unless a model would call tools twice."""
        acted = any(isinstance(item, FunctionCall) for item in said.handle.chat_items)
        if said.times < TIMES and not acted:
            self._queued.append(said)
        for behind in tuple(self._saying):
            with contextlib.suppress(RuntimeError):  # one that cannot be interrupted
                behind.handle.interrupt()

    def _say_again(self) -> None:
        queued, self._queued = self._queued, []
        for said in queued:
            with contextlib.suppress(RuntimeError):  # a session that closes, or has no voice
                self._note(_Said(said.again(), said.again, said.times + 1))
