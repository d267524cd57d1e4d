"""A voice for each language of a reply, so that native help is spoken by a native voice."""

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError
from livekit.agents.tts import TTS

log = logging.getLogger(__name__)

__all__ = ["BilingualVoice"]

_ONCE = APIConnectOptions(max_retry=0)

Speak = Callable[[AsyncIterable[str]], AsyncGenerator[rtc.AudioFrame, None]]


class BilingualVoice:
    """Speak the parts marked as native with the native language's voice.

    Args:
        native: The voice of the native language, or None if there is none.

    Attributes:
        marked: The part of the next reply that is in the native language; empty for none.
    """

    def __init__(self, native: "TTS[Any] | None") -> None:
        self._native = native
        self.marked = ""

    async def speak(
        self, text: AsyncIterable[str], usual: Speak
    ) -> AsyncGenerator[rtc.AudioFrame, None]:
        """Yield the sound of a reply.

        Args:
            text: The reply, in pieces.
            usual: Speaks with the voice of the language taught.
        """
        marked, self.marked = self.marked, ""
        if not marked:
            parts: tuple[tuple[AsyncIterable[str], Speak], ...] = ((text, usual),)
        else:
            # Help is short: what waits here is one or two sentences of a scenario.
            before, native, after = "".join([it async for it in text]).partition(marked)
            speaks = ((before, usual), (native, partial(self._natively, usual=usual)))
            split = (*speaks, (after, usual))
            parts = tuple((_once(words), speak) for words, speak in split if words.strip())
        for words, speak in parts:
            async with aclosing(speak(words)) as frames:
                async for frame in frames:
                    yield frame

    async def aclose(self) -> None:
        """Close the native voice."""
        if self._native is not None:
            await self._native.aclose()

    async def _natively(
        self, text: AsyncIterable[str], usual: Speak
    ) -> AsyncGenerator[rtc.AudioFrame, None]:
        """Speak with the native voice or, if the engine has none, with the usual one."""
        words, has_begun = "".join([it async for it in text]), False
        if self._native is not None:
            try:
                async with self._native.synthesize(words, conn_options=_ONCE) as sound:
                    async for piece in sound:
                        has_begun = True
                        yield piece.frame
            except APIError:  # of an engine without that voice, most likely
                log.warning("the native language has no voice: the usual one speaks it")
        if not has_begun:
            async with aclosing(usual(_once(words))) as frames:
                async for frame in frames:
                    yield frame


async def _once(text: str) -> AsyncGenerator[str, None]:
    yield text
