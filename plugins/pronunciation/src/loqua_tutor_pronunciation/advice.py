"""Advice about words that were not recognised, by their spelling.

It is a hint and no score: no corpus that experts have scored stands behind it.
"""

from collections.abc import Collection, Iterable

from pydantic import BaseModel, ConfigDict

from .exercises import SpokenLanguage
from .findings import may_correct

__all__ = ["Hint", "advise", "find_hint"]


class Hint(BaseModel):
    """A word that was not recognised, and the sound in it that learners often miss."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    word: str
    sound: str


def find_hint(
    words: Iterable[str], language: SpokenLanguage, sounds: Collection[str]
) -> Hint | None:
    """Return the hint about the first of the language's rules that fits a word.

    Args:
        words: Words that were not recognised.
        language: Has the rules.
        sounds: Those that the lesson is about so far.
    """
    missed = list(words)
    for sound, advice in language.advice.items():
        fits = (word for word in missed if advice.spelled.search(word.casefold()))
        if may_correct(sound, sounds) and (word := next(fits, None)):
            return Hint(word=word, sound=sound)
    return None


def advise(hint: Hint, language: SpokenLanguage) -> str:
    """Return the sentence about a hint."""
    return language.advice[hint.sound].says.format(word=hint.word)
