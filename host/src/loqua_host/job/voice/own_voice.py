"""What a tutor says and when, so that it does not take its own voice for the learner's."""

import re
import time
import unicodedata
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from livekit.agents import Agent, AgentSession, AgentStateChangedEvent, UserStateChangedEvent
from livekit.agents.stt import SpeechEvent

from .nodes import replace, through

__all__ = ["OwnVoice", "share_of"]

log = structlog.get_logger()

LATE_SECONDS: Final = 0.3
"""How long after the tutor has ended its echo may begin: the way to the learner and back."""

TAIL_SECONDS: Final = 1.2
"""How long after that it may end: the way, the room, and a recogniser that waits for silence."""

EARLY_SECONDS: Final = 0.2
"""By how much the beginnings of speech and sound are dated too early or too late."""

SHARE: Final = 0.6
"""Of what was heard, the part that is the tutor's own text where it is its own voice."""

KEPT_CHARACTERS: Final = 600
"""Of what the tutor says; a recogniser hands over a sentence or two at a time."""

LONGEST_CHARACTERS: Final = 600

PIECE: Final = 4


@dataclass(slots=True)
class _Span:
    """A stretch of time, in seconds of the day; without an end it goes on."""

    start: float
    end: float | None = None


class OwnVoice:
    """Keeps from a session what the learner's microphone hears of the tutor.

    Text and time both have to fit: who says a sentence after the tutor begins when it has ended.
    From the first echo on, the tutor is interrupted by words that are the learner's, no longer by
    any sound, or its own voice would cut it off again and again.

    Args:
        session: The voice session.
        clock: The time of day in seconds, by which LiveKit dates who speaks.
    """

    def __init__(
        self, session: "AgentSession[Any]", clock: Callable[[], float] = time.time
    ) -> None:
        self._session = session
        self._clock = clock
        self._text = ""
        self._tutor: _Span | None = None
        self._learner: _Span | None = None
        self._echoes = False

    def watch(self) -> None:
        """Follow the session from now on."""
        self._session.on("agent_state_changed", self._on_tutor)
        self._session.on("user_state_changed", self._on_learner)

    def unwatch(self) -> None:
        """Follow it no longer."""
        self._session.off("agent_state_changed", self._on_tutor)
        self._session.off("user_state_changed", self._on_learner)

    def meet(self, agent: Agent) -> None:
        """Observe what an agent says, and drop its echo from what it hears."""
        replace(agent, "tts_node", through(agent.tts_node, given=self._noted))
        replace(agent, "stt_node", through(agent.stt_node, gives=self._without_echo))

    def is_echo(self, text: str) -> bool:
        """Return whether what was just heard is the tutor's own voice."""
        tutor, learner = self._tutor, self._learner
        if tutor is None or learner is None or learner.start < tutor.start - EARLY_SECONDS:
            return False
        ended = learner.end or self._clock()
        if tutor.end is not None and (
            learner.start > tutor.end + LATE_SECONDS or ended > tutor.end + TAIL_SECONDS
        ):
            return False
        return share_of(text[:LONGEST_CHARACTERS], self._text) >= SHARE

    async def _noted(self, pieces: AsyncIterable[str]) -> AsyncIterator[str]:
        self._text = f"{self._text} "[-KEPT_CHARACTERS:]
        async for piece in pieces:
            self._text = (self._text + piece)[-KEPT_CHARACTERS:]
            yield piece

    async def _without_echo(
        self, events: AsyncIterable[SpeechEvent | str]
    ) -> AsyncIterator[SpeechEvent | str]:
        async for event in events:
            if self.is_echo(_text_of(event)):
                self._beware()
            else:
                yield event

    def _beware(self) -> None:
        if not self._echoes:
            self._echoes = True
            self._session.options.interruption["min_words"] = 1
            log.warning(
                "lesson.echo",
                hint="the page: capture the microphone with echoCancellation, or use headphones",
            )

    def _on_tutor(self, event: AgentStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._tutor = _Span(event.created_at)
        elif event.old_state == "speaking" and self._tutor is not None:
            self._tutor.end = event.created_at

    def _on_learner(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._learner = _Span(event.created_at)
        elif event.old_state == "speaking" and self._learner is not None:
            self._learner.end = event.created_at


def share_of(heard: str, said: str) -> float:
    """Return how much of a text is in another, from 0 to 1, whatever a recogniser misheard."""
    pieces = _pieces(heard)
    return len(pieces & _pieces(said)) / len(pieces) if pieces else 0.0


def _pieces(text: str) -> frozenset[str]:
    """Return all runs of four letters in a text, whose words have no accents and no case."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    words = " ".join(
        re.findall(r"\w+", "".join(it for it in plain if not unicodedata.combining(it)))
    )
    return (
        frozenset(f" {words} "[at : at + PIECE] for at in range(len(words) + 3 - PIECE))
        if words
        else frozenset()
    )


def _text_of(event: SpeechEvent | str) -> str:
    if isinstance(event, str):
        return event
    return event.alternatives[0].text if event.alternatives else ""
