"""A tutor's first words, said again where the learner was speaking and did not hear them.

What a learner says over a sentence interrupts it, even one whose first sound has not left. Whoever
speaks as the tutor comes in would hear nothing from it until they have been answered.
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
"""Whoever speaks after so much of a sentence knows that somebody is there."""

TIMES: Final = 3
"""How often a sentence is said again; each time a turn of the learner's came between."""


@dataclass(slots=True, eq=False)
class _Said:
    """A sentence of the greeting, how to say it once more, and how often it was."""

    handle: SpeechHandle
    again: Callable[[], SpeechHandle]
    times: int = 0


class Greeting:
    """Says again, in order, what the tutor said before `end` and the learner did not hear.

    It is said when the learner's turn is over, and before the tutor answers it. Whoever awaits it
    goes on as after any interruption.

    Args:
        session: The voice session.
    """

    def __init__(self, session: "AgentSession[Any]") -> None:
        self._session = session
        self._open = True
        self._saying: list[_Said] = []
        self._owed: list[_Said] = []
        self._say, self._reply = session.say, session.generate_reply
        self._interrupt = session.interrupt
        self._played = 0.0
        self._began_at = float("inf")
        self._spoke_at = 0.0

    def watch(self) -> None:
        """Follow what is said from now on."""
        replace(self._session, "say", self._follow_say)
        replace(self._session, "generate_reply", self._follow_reply)
        replace(self._session, "interrupt", self._follow_interrupt)
        self._session.on("user_state_changed", self._on_learner)

    def unwatch(self) -> None:
        """Say nothing again from now on."""
        self._session.off("user_state_changed", self._on_learner)
        self.end()
        self._forget()

    def end(self) -> None:
        """Take nothing said from now on for a part of the greeting."""
        self._open = False

    def meet(self, agent: Agent) -> None:
        """Speak before an agent takes a turn."""
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
        """Let be what code interrupts."""
        self._forget()
        return self._interrupt(**options)

    def _forget(self) -> None:
        self._saying.clear()
        self._owed.clear()

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
            self._owe(said)
        elif said.handle.interrupted:
            self._forget()

    def _owe(self, said: _Said) -> None:
        """Keep a sentence to be said again, unless a model did what must not be done twice."""
        acted = any(isinstance(item, FunctionCall) for item in said.handle.chat_items)
        if said.times < TIMES and not acted:
            self._owed.append(said)
        for behind in tuple(self._saying):
            with contextlib.suppress(RuntimeError):  # one that cannot be interrupted
                behind.handle.interrupt()

    def _say_again(self) -> None:
        owed, self._owed = self._owed, []
        for said in owed:
            with contextlib.suppress(RuntimeError):  # a session that closes, or has no voice
                self._note(_Said(said.again(), said.again, said.times + 1))
