"""The order in which words are asked; pure.

A word returns after one other word if it was missed, and after two, four, … others if it was known.
Such growing intervals are what makes retrieval practice last (Landauer & Bjork, 1978).
"""

import re
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

__all__ = ["Card", "Deck", "is_said"]

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Card(BaseModel):
    """A word, its right answers in a row, and how often it was missed."""

    model_config = _FROZEN

    word: str
    right: int = 0
    missed: int = 0


class Deck(BaseModel):
    """The cards of a lesson.

    Attributes:
        waiting: Those to ask, the next one first.
        known: Those that need no more questions.
        answers: How many answers there were.
    """

    model_config = _FROZEN

    waiting: tuple[Card, ...] = ()
    known: tuple[Card, ...] = ()
    answers: int = 0

    @classmethod
    def of(cls, words: Iterable[str]) -> "Deck":
        """Return a deck in which all these words wait."""
        return cls(waiting=tuple(Card(word=word) for word in words))

    @property
    def missed(self) -> tuple[str, ...]:
        """The words that were missed, the worst first."""
        cards = sorted((*self.waiting, *self.known), key=lambda card: -card.missed)
        return tuple(card.word for card in cards if card.missed)

    def answered(self, *, right: bool, repeats: int) -> "Deck":
        """Return the deck after an answer to its first card.

        Args:
            right: Whether the answer was right.
            repeats: Right answers in a row after which a word is known.
        """
        first, others = self.waiting[0], self.waiting[1:]
        if right:
            card = first.model_copy(update={"right": first.right + 1})
        else:
            card = first.model_copy(update={"right": 0, "missed": first.missed + 1})
        if card.right >= repeats:
            return Deck(waiting=others, known=(*self.known, card), answers=self.answers + 1)
        later = 2**card.right
        return Deck(
            waiting=(*others[:later], card, *others[later:]),
            known=self.known,
            answers=self.answers + 1,
        )


def is_said(word: str, answer: str) -> bool:
    """Return whether an answer has this word, also in a sentence."""
    wanted, said = (re.findall(r"\w+", text.casefold()) for text in (word, answer))
    places = range(len(said) - len(wanted) + 1)
    return bool(wanted) and any(said[place : place + len(wanted)] == wanted for place in places)
