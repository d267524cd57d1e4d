"""When a specialist helps more than talking on: the learner asks, or a mistake comes again."""

import re
import tomllib
from collections import Counter
from functools import cache
from importlib.resources import files
from typing import Literal

from pydantic import BaseModel, ConfigDict

from .plain import has_any, plain

__all__ = ["Need", "Needs", "Speciality", "load_needs", "mistakes_in", "need_asked", "need_shown"]

Speciality = Literal["grammar", "pronunciation"]

_FROZEN = ConfigDict(frozen=True, extra="forbid")

_AGAIN = 2
"""A mistake of a kind is a slip, a second one is worth an exercise."""

_WORDS = 3
"""Words that the learner may ask for at a time."""


class Needs(BaseModel):
    """What shows in a language that a specialist is needed, as `needs.toml` has it.

    Attributes:
        taught: What the tutor says when the specialist has taught.
        absent: What it says when none came.
        says: Phrases before words that the learner wants to say well.
        asks: Phrases by which the learner asks for a specialist.
        mistakes: Phrases that are mistakes, by topic.
    """

    model_config = _FROZEN

    taught: str
    absent: str
    says: tuple[str, ...]
    asks: dict[Speciality, tuple[str, ...]]
    mistakes: dict[str, tuple[str, ...]]


class Need(BaseModel):
    """What the learner needs a specialist for: a topic of grammar, or words."""

    model_config = _FROZEN

    speciality: Speciality
    focus: str = ""
    words: tuple[str, ...] = ()


@cache
def load_needs(language: str) -> Needs | None:
    """What shows needs in this language; None if nothing is known of it."""
    text = files(__package__).joinpath("needs.toml").read_text("utf-8")
    found = tomllib.loads(text).get(language)
    return None if found is None else Needs.model_validate(found)


def need_asked(needs: Needs, text: str) -> Need | None:
    """The specialist that the learner asks for in a sentence, if any."""
    for speciality, phrases in needs.asks.items():
        if has_any(phrases, plain(text)):
            words = _words_after(needs.says, text) if speciality == "pronunciation" else ()
            return Need(speciality=speciality, words=words)
    return None


def mistakes_in(needs: Needs, text: str) -> tuple[str, ...]:
    """The topics of the mistakes in a sentence."""
    return tuple(topic for topic, wrong in needs.mistakes.items() if has_any(wrong, plain(text)))


def need_shown(mistakes: tuple[str, ...], helped: tuple[str, ...]) -> Need | None:
    """The topic of grammar that keeps going wrong and was not helped with, if any."""
    for topic, times in Counter(mistakes).items():
        if times >= _AGAIN and topic not in helped:
            return Need(speciality="grammar", focus=topic)
    return None


def _words_after(phrases: tuple[str, ...], text: str) -> tuple[str, ...]:
    """The words that follow one of the phrases, as they were recognised."""
    words = re.findall(r"[^\W_]+", text)
    for start in range(len(words)):
        before = plain(" ".join(words[:start]))
        if any(before.endswith(plain(phrase)) for phrase in phrases):
            return tuple(word.casefold() for word in words[start : start + _WORDS])
    return ()
