"""A scripted learner in a real room, who speaks and listens."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from typing import Any, Final

from loqua_host.dev.hearing import LEARNER, Hearing, TranscriptSegment
from loqua_host.dev.learner import LearnerInRoom, joined, open_microphone

__all__ = ["RoomLearner"]

SETTLE_SECONDS: Final = 0.7
"""Seconds of silence after which a tutor who spoke is taken to have finished."""

PATIENCE_SECONDS: Final = 20.0
"""Seconds to wait for a tutor without audio, text or state changes."""


class RoomLearner:
    """A learner who enters and leaves a room by script.

    Args:
        joining: The API's answer to the request to join: address and token.
        speak: Returns the sound of a text: PCM, 16-bit little-endian mono, 24 kHz.
        on_said: Takes what a tutor says.
    """

    def __init__(
        self,
        joining: dict[str, Any],
        speak: Callable[[str], Awaitable[bytes]],
        on_said: Callable[[str], None],
    ) -> None:
        self._joining = joining
        self._speak = speak
        self._on_said = on_said
        self._stack = AsyncExitStack()
        self._hearing = Hearing(self._on_heard, SETTLE_SECONDS, PATIENCE_SECONDS)
        self._began = asyncio.get_running_loop().time()

    async def enter(self) -> None:
        """Enter the room, with a microphone."""
        stack = self._stack
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        room = await stack.enter_async_context(joined(self._joining["url"], self._joining["token"]))
        inside = LearnerInRoom(room, self._hearing, tasks, self._began)
        self._inside = stack.enter_context(closing(inside))
        self._microphone = await stack.enter_async_context(open_microphone(room))
        self._inside.listen()

    async def leave(self) -> None:
        """Leave the room, if they are there."""
        await self._stack.aclose()

    async def say(self, text: str) -> None:
        """Speak, and wait for the end of the answer."""
        sound = await self._speak(text)
        await self._inside.say(self._microphone, sound)
        await self.wait_for_playout()

    async def write(self, text: str) -> None:
        """Type something, and hear the answer out."""
        await self._inside.write(text)
        await self.wait_for_playout()

    def listen(self) -> None:
        """Wait for what a tutor says from now on."""
        self._inside.listen()

    async def wait_for_playout(self) -> None:
        """Wait until a tutor has spoken and finished, or for too long."""
        await self._inside.tutor_finished(last=False)

    @property
    def answer_seconds(self) -> tuple[float, ...]:
        """Seconds from the last sound of the learner's words to the first of the answer."""
        latencies = self._hearing.summary("learner").reply_latencies
        return tuple(seconds for seconds in latencies if seconds is not None)

    def _on_heard(self, heard: TranscriptSegment) -> None:
        if heard.speaker != LEARNER:
            self._on_said(heard.text)
