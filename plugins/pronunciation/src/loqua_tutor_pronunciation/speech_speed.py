"""Requests of learners to slow down or to repeat, and the speed of the tutor's voice."""

import inspect
from collections.abc import Iterable

from .recognition import plain_words

__all__ = ["is_request", "speak_slowly"]

_SLOW = 0.7
"""Factor of the engine's normal speed at which single sounds can be heard."""

_WORDS_AROUND = 4
"""Words of a request besides the phrase: "could you speak … please"."""


def is_request(text: str, phrases: Iterable[str]) -> bool:
    """Return whether a learner asks for something in one of these phrases."""
    said = plain_words(text)
    return any(
        len(said) <= len(phrase) + _WORDS_AROUND
        and f" {' '.join(phrase)} " in f" {' '.join(said)} "
        for phrase in map(plain_words, phrases)
    )


def speak_slowly(voice: object) -> None:
    """Slow a voice down, if its engine supports it.

    LiveKit's plugins have no common option for it, but those of OpenAI and others, and thereby
    the offline engine, take `update_options(speed=…)`. A list of engines with fallbacks does not.

    Args:
        voice: The session's `tts`.
    """
    update = getattr(voice, "update_options", None)
    if update is not None and "speed" in inspect.signature(update).parameters:
        update(speed=_SLOW)
