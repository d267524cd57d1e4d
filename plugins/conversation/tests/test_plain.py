"""Comparison of texts."""

import pytest

from loqua_tutor_conversation.plain import has_any_form


@pytest.mark.parametrize(
    ("phrase", "text", "is_there"),
    [
        ("*aría", "Viajaría a otra ciudad.", True),
        ("*aría", "Es necesaria.", False),
        ("*aría", "Soy María.", False),
        ("i *ed", "Yesterday I worked late.", True),
        ("i *ed", "I need a job.", False),
        ("have *ed", "I have stopped.", True),
        ("i'd", "I'd go home.", True),
        ("i would", "I would", True),
        ("hubo", "Hubo un problema.", True),
        ("es", "Este", False),
        ("está", "Ella esta en casa", True),
    ],
    ids=[
        *("form", "accent", "name", "words", "short beginning", "two words", "apostrophe", "end"),
        *("word", "part of a word", "no accent"),
    ],
)
def test_a_form_stands_for_any_beginning_of_a_word(
    phrase: str, text: str, *, is_there: bool
) -> None:
    """With three letters or more, and with the accents as they are."""
    assert has_any_form((phrase,), text) is is_there
