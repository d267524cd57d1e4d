"""Languages, as the API and learners' settings name them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.lessons.language import CODES, language_code
from loqua_host.settings.messages import message_in


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("spanish", "es"),
        (" Spanish ", "es"),
        ("es", "es"),
        ("es-MX", "es"),
        ("pt_BR", "pt"),
        ("Mandarin", "zh"),
        ("klingon", "en"),
        ("xx", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_names_and_codes_become_codes(name: str | None, code: str) -> None:
    """What is not known becomes the default, never a guess."""
    assert language_code(name, "en") == code


@given(st.text())
def test_any_text_gives_a_language_that_is_taught(name: str) -> None:
    """Engines get no other."""
    assert language_code(name, "es") in CODES.values()


def test_an_apology_is_in_the_language_or_in_english() -> None:
    """Somebody always says something."""
    messages = {"en": "Sorry.", "es": "Lo siento."}
    assert (message_in("es", messages), message_in("ja", messages)) == ("Lo siento.", "Sorry.")
