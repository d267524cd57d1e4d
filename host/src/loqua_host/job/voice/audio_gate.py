"""The gate of a session's audio: open while the learner is present and the tutor has the floor."""

import contextlib
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession

from loqua_host.job.lesson.limits import Silence
from loqua_host.job.lesson.stopwatch import Stopwatch

from .last_words import LastWords
from .session import switch

__all__ = ["AudioGate"]


class AudioGate:
    """Enable audio and text of a session while it is open, and count the time taught.

    Args:
        session: The voice session.
        last_words: Ends the learner's turn.
        clock: Counts the time taught.
        silence: Counts the time in which the learner could speak.
        is_open: Returns whether the learner is here and this tutor has the floor.
        is_connected: Returns whether the room is connected; time without it is not taught.

    Attributes:
        started: Whether the session has started.
    """

    def __init__(
        self,
        session: "AgentSession[Any]",
        last_words: LastWords,
        clock: Stopwatch,
        silence: Silence,
        is_open: Callable[[], bool],
        is_connected: Callable[[], bool],
    ) -> None:
        self._session = session
        self._last_words = last_words
        self._clock = clock
        self._silence = silence
        self._is_open = is_open
        self._is_connected = is_connected
        self.started = False

    def start(self, *, on: bool) -> None:
        """Attach to a session that has just started."""
        self.started = True
        if not on:
            switch(self._session, on=False)
        self.set_clock()

    def open(self) -> None:
        """Enable audio again, unless something else disables it."""
        # Another person may join with the learner's identity, so the host must verify it first.
        switch(self._session, on=self._is_open())
        self.set_clock()

    def close(self) -> None:
        """Stop speaking, and end the learner's turn."""
        self.fall_silent()
        switch(self._session, on=self._is_open())
        self._last_words.commit()
        self.set_clock()

    def fall_silent(self) -> None:
        """Interrupt the current speech."""
        with contextlib.suppress(RuntimeError):  # a session that has not started yet
            self._session.interrupt(force=True)

    def set_clock(self) -> None:
        """Run the clock while the learner is present and this tutor has the floor."""
        taught = self.started and self._is_connected() and self._is_open()
        (self._clock.run if taught else self._clock.pause)()
        self._silence.listen(taught)
