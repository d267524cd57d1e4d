"""When a tutor hears and is heard: while its learner is here and no other tutor has the floor."""

import contextlib
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession

from loqua_host.job.lesson.limits import Silence
from loqua_host.job.lesson.stopwatch import Stopwatch

from .session import commit_turn, switch

__all__ = ["AudioGate"]


class AudioGate:
    """Lets audio and text in and out of a session while it is open, and counts the time taught.

    Args:
        session: The voice session.
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
        clock: Stopwatch,
        silence: Silence,
        is_open: Callable[[], bool],
        is_connected: Callable[[], bool],
    ) -> None:
        self._session = session
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
        # Another may come by the learner's identity: nobody is heard before the host has looked.
        switch(self._session, on=self._is_open())
        self.set_clock()

    def close(self) -> None:
        """Fall silent, and end the learner's turn where it is."""
        self.fall_silent()
        switch(self._session, on=self._is_open())
        commit_turn(self._session)
        self.set_clock()

    def fall_silent(self) -> None:
        """Cut off what is being said."""
        with contextlib.suppress(RuntimeError):  # a session that has not started yet
            self._session.interrupt(force=True)

    def set_clock(self) -> None:
        """Count the time in which the learner is here and this tutor has the floor."""
        taught = self.started and self._is_connected() and self._is_open()
        (self._clock.run if taught else self._clock.pause)()
        self._silence.listen(taught)
