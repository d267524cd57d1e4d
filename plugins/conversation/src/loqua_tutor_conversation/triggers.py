"""Triggers of a call to a specialist: the learner's request, or a repeated kind of error."""

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel

from .language import Language, Speciality
from .plain import has_any, plain, tokens
from .toml_data import FROZEN

__all__ = ["HelpRequest", "Mistake", "find_mistakes", "help_asked", "help_needed"]

_REPEATED = 2
"""One mistake of a kind is a slip; a second one is worth an exercise."""

_MAX_WORDS = 3
"""Words that the learner may ask for at a time."""


class HelpRequest(BaseModel):
    """The subject of a call to a specialist: a topic of grammar, or words."""

    model_config = FROZEN

    speciality: Speciality
    focus: str = ""
    words: tuple[str, ...] = ()


class Mistake(BaseModel):
    """A mistake in a sentence of the learner.

    Attributes:
        topic: The grammar topic, by the API's name.
        wrong: The wrong phrase, without accents and punctuation.
        right: The right one.
    """

    model_config = FROZEN

    topic: str
    wrong: str
    right: str


def help_asked(language: Language, text: str) -> HelpRequest | None:
    """Return the help that the learner asks for in a sentence, or None."""
    for speciality, phrases in language.asks.items():
        if has_any(phrases, plain(text)):
            words = _words_after(language.says, text) if speciality == "pronunciation" else ()
            return HelpRequest(speciality=speciality, words=words)
    return None


def find_mistakes(language: Language, text: str) -> tuple[Mistake, ...]:
    """Return the common mistakes in a sentence, one of a topic."""
    said = plain(text)
    found: dict[str, Mistake] = {}
    for topic, phrases in language.mistakes.items():
        for wrong, right in phrases.items():
            if topic not in found and has_any((wrong,), said):
                found[topic] = Mistake(topic=topic, wrong=plain(wrong), right=right)
    return tuple(found.values())


def help_needed(mistakes: Iterable[str], helped: tuple[str, ...]) -> HelpRequest | None:
    """Return the help with the grammar topic that returns, if it was not offered before.

    Args:
        mistakes: The topics of the mistakes, one by one.
        helped: The topics that help was offered for.
    """
    for topic, times in Counter(mistakes).items():
        if times >= _REPEATED and topic not in helped:
            return HelpRequest(speciality="grammar", focus=topic)
    return None


def _words_after(phrases: tuple[str, ...], text: str) -> tuple[str, ...]:
    """Return the words that follow one of the phrases, as they were recognised."""
    words = tokens(text)
    for start in range(len(words)):
        before = plain(" ".join(words[:start]))
        if any(before.endswith(plain(phrase)) for phrase in phrases):
            return tuple(word.casefold() for word in words[start : start + _MAX_WORDS])
    return ()
