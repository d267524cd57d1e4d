"""Chat messages of learners."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from livekit import rtc
from livekit.agents.types import TOPIC_CHAT

from loqua_host.contract.learner import Learner

__all__ = ["LONGEST_TYPED", "Chat"]

log = logging.getLogger(__name__)

LONGEST_TYPED = 2000
"""Maximum characters of a chat message; longer ones are cut."""


class Chat:
    """Read chat messages of all learners that the tutor hears; LiveKit's reader supports only one.

    Args:
        room: The room.
        heard: Returns the learners that the tutor hears now, by identity.
        answer: Answers a chat message.
    """

    def __init__(
        self,
        room: rtc.Room,
        heard: Callable[[], Mapping[str, Learner]],
        answer: Callable[[Learner, str], Awaitable[None]],
    ) -> None:
        self._room = room
        self._heard = heard
        self._answer = answer
        self._reading: set[asyncio.Task[None]] = set()

    def watch(self) -> None:
        """Start to read."""
        self._room.register_text_stream_handler(TOPIC_CHAT, self._on_text)

    def unwatch(self) -> None:
        """Stop reading."""
        self._room.unregister_text_stream_handler(TOPIC_CHAT)
        for task in self._reading:
            task.cancel()

    def _on_text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        learner = self._heard().get(identity)
        if learner is None:
            reader.close()  # otherwise all that a stranger sends would be buffered
            return
        task = asyncio.create_task(self._read(reader, learner))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, reader: rtc.TextStreamReader, learner: Learner) -> None:
        try:
            await self._answer(learner, await _first(reader, LONGEST_TYPED))
        except rtc.StreamError:
            pass  # the sender left during the transfer
        except Exception:  # the tutor's own code is called here
            log.exception("what a learner typed was not answered")


async def _first(reader: rtc.TextStreamReader, characters: int) -> str:
    """Return the first characters of a text stream."""
    text = ""
    try:
        async for piece in reader:
            text += piece
            if len(text) >= characters:
                break
    finally:
        reader.close()
    return text[:characters]
