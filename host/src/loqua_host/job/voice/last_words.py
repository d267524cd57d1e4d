"""The learner's last words when a session stops listening: those still being recognised count."""

import asyncio
import contextlib
import math
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession, UserInputTranscribedEvent, UserStateChangedEvent
from livekit.agents.llm import RealtimeModel

from loqua_host.system.tasks import within

from .session import switch

__all__ = ["LastWords"]

PENDING_SECONDS = 0.5
"""Seconds to wait for a final transcript of speech that was too soft or short to be detected."""

RECOGNITION_SECONDS = 5.0
"""Maximum seconds that the recognition of detected speech takes. After as many, an unresponsive
engine is replaced."""

LAST_TURN_SECONDS = 10.0
"""Maximum seconds until the agent has received the learner's last words."""


class LastWords:
    """End the learner's turn with the words that are recognised, or still being recognised.

    Args:
        session: The voice session.
        now: A monotonic clock in seconds.
    """

    def __init__(self, session: "AgentSession[Any]", now: Callable[[], float]) -> None:
        self._session = session
        self._now = now
        # Speech counts as over after as much silence.
        self._silence = session.options.endpointing["min_delay"]
        self._recognised = self._due = -math.inf
        session.on("user_state_changed", self._on_learner)
        session.on("user_input_transcribed", self._on_words)

    def commit(self) -> "asyncio.Future[str] | None":
        """End the learner's turn now.

        This is for a session whose audio input is disabled, in which nothing else ends the turn.
        The agent receives it like any other turn.

        Returns:
            A future of the words, or None if the session does not run or has a realtime model,
            which ends turns itself.
        """
        with contextlib.suppress(RuntimeError):
            model = self._session.current_agent.llm or self._session.llm
            if not isinstance(model, RealtimeModel):
                return self._session.commit_user_turn(transcript_timeout=self._longest_wait())
        return None

    async def take(self) -> None:
        """Stop listening and speaking, and pass the learner's last words to the agent."""
        switch(self._session, on=False)
        if (words := self.commit()) is not None:
            with contextlib.suppress(RuntimeError):
                await within(LAST_TURN_SECONDS, self._take(words))

    async def _take(self, words: "asyncio.Future[str]") -> None:
        await words
        await self._session.wait_for_idle()

    def _longest_wait(self) -> float:
        """Return the maximum seconds to wait for a transcript."""
        if self._session.user_state == "speaking":
            return RECOGNITION_SECONDS
        return max(PENDING_SECONDS, self._due - self._now())

    def _on_learner(self, event: UserStateChangedEvent) -> None:
        # Words that were final during its silence are those of the whole speech.
        if event.old_state == "speaking" and self._now() - self._recognised > self._silence:
            self._due = self._now() + RECOGNITION_SECONDS

    def _on_words(self, event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            self._recognised, self._due = self._now(), -math.inf
