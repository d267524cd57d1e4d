"""The speed of the tutor's voice, and requests of learners to slow down."""

import inspect

from .exercises import SpokenLanguage
from .recognition import plain_words

__all__ = ["asks_for_slower", "speak_slowly"]

_SLOW = 0.7
"""Factor of the engine's normal speed at which single sounds can be heard."""

_WORDS_AROUND = 4
"""Words of a request besides the phrase: "could you speak … please"."""


def asks_for_slower(text: str, language: SpokenLanguage) -> bool:
    """Return whether a learner asks for a slower voice."""
    said = plain_words(text)
    return any(
        len(said) <= len(phrase) + _WORDS_AROUND
        and f" {' '.join(phrase)} " in f" {' '.join(said)} "
        for phrase in map(plain_words, language.lines.slower)
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
