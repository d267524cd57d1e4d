"""The order in which words are asked."""

import pytest

from loqua_tutor_vocabulary.deck import Deck, is_said


def test_a_missed_word_returns_after_one_other() -> None:
    """Soon, but not at once."""
    deck = Deck.of("abc").answered(right=False, repeats=2)
    assert [card.word for card in deck.waiting] == ["b", "a", "c"]


def test_a_known_word_returns_later_each_time() -> None:
    """After two others, then after four."""
    deck = Deck.of("abcdef").answered(right=True, repeats=3)
    assert "".join(card.word for card in deck.waiting) == "bcadef"
    for _ in range(3):
        deck = deck.answered(right=True, repeats=3)
    assert "".join(card.word for card in deck.waiting) == "bcdeaf"


def test_a_word_is_known_after_right_answers_in_a_row() -> None:
    """A wrong one begins again."""
    deck = Deck.of("a")
    for right in (True, False, True, True):
        assert not deck.known
        deck = deck.answered(right=right, repeats=2)
    assert ([card.word for card in deck.known], deck.waiting) == (["a"], ())
    assert deck.missed == ("a",)


@pytest.mark.parametrize(
    ("word", "answer", "right"),
    [
        ("café", "Un CAFÉ, por favor.", True),
        ("casa", "Me caso.", False),
        ("por favor", "¡Por favor!", True),
        ("por favor", "favor por", False),
        ("café", "", False),
    ],
    ids=["sentence", "other word", "two words", "wrong order", "nothing"],
)
def test_an_answer_is_right_if_the_word_is_in_it(word: str, answer: str, right: bool) -> None:
    """Upper and lower case and other words do not matter."""
    assert is_said(word, answer) is right
