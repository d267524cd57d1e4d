"""A reply in two languages."""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from livekit.agents import APIStatusError

from loqua_tutor_conversation.bilingual_voice import BilingualVoice

NATIVE = "Say your name."


class EchoVoice:
    """A voice whose audio is the text; it may refuse."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses

    @asynccontextmanager
    async def synthesize(self, text: str, **_: Any) -> AsyncIterator[AsyncIterator[Any]]:
        """Speak a text in one piece."""

        async def pieces() -> AsyncIterator[Any]:
            if self.refuses:
                raise APIStatusError("no voice 'xx'", status_code=400)
            yield SimpleNamespace(frame=f"native {text}")

        yield pieces()


async def usual(words: AsyncIterable[str]) -> AsyncIterator[Any]:
    """Speak as the session does."""
    yield "usual " + "".join([it async for it in words])


async def reply(*pieces: str) -> AsyncIterator[str]:
    """Stream a reply."""
    for piece in pieces:
        yield piece


def bilingual(native: Any, marked: str = NATIVE) -> BilingualVoice:
    """Make the voice of a reply with a native part."""
    voice = BilingualVoice(native)
    voice.marked = marked
    return voice


async def speak(voice: BilingualVoice, *pieces: str) -> list[Any]:
    """Return the sounds of a reply."""
    usual_: Any = usual
    return [sound async for sound in voice.speak(reply(*pieces), usual_)]


async def test_the_marked_part_has_the_native_voice_once() -> None:
    """However the reply is cut into pieces; the next one has the usual voice."""
    voice = bilingual(EchoVoice())
    said = "¿Qué? ", "Say your", " name. ", "Puedes decir: Ana."

    assert await speak(voice, *said) == [
        "usual ¿Qué? ",
        f"native {NATIVE}",
        "usual  Puedes decir: Ana.",
    ]
    assert await speak(voice, NATIVE) == [f"usual {NATIVE}"]


@pytest.mark.parametrize("native", [None, EchoVoice(refuses=True)], ids=["none", "refused"])
async def test_without_a_native_voice_the_usual_one_speaks(native: Any) -> None:
    """The usual voice speaks all of the help."""
    assert await speak(bilingual(native), f"{NATIVE} Ana.") == [f"usual {NATIVE}", "usual  Ana."]


async def test_a_reply_without_the_marked_part_is_spoken_as_usual() -> None:
    """A model may have put it in other words."""
    assert await speak(bilingual(EchoVoice()), "Tell me ", "your name.") == [
        "usual Tell me your name."
    ]
