"""Language names of the API and of learners' settings."""

import langcodes
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.lessons.language import language_code
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
        ("cmn-Hans-CN", "zh"),
        ("Greek", "el"),
        ("griego", "el"),
        ("français", "fr"),
        ("spa", "es"),
        ("Brazilian Portuguese", "pt"),
        ("catalan", "ca"),
        ("hawaiian", "haw"),
        ("nonsense", "en"),
        ("xx", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_names_and_codes_become_codes(name: str | None, code: str) -> None:
    """An unknown language becomes the default, never a guess."""
    assert language_code(name, "en") == code


@given(st.text() | st.from_regex(r"[a-z]{2,3}([-_][A-Za-z]{2,4}){0,2}", fullmatch=True))
def test_any_text_gives_the_code_of_a_language(name: str) -> None:
    """Engines get nothing else."""
    code = language_code(name, "es")
    assert langcodes.Language.get(code).is_valid()
    assert code.isascii()
    assert code.islower()


def test_a_language_that_nobody_knows_is_logged_without_its_name() -> None:
    """A typo in a learner's preferences is not taught as something else in silence."""
    with structlog.testing.capture_logs() as logs:
        assert language_code("Spanihs of the north", "fr") == "fr"
        assert language_code("", "fr") == "fr"
    assert logs == [{"event": "language.unknown", "log_level": "warning", "taught": "fr"}]


def test_an_apology_is_in_the_language_or_in_english() -> None:
    """Somebody always says something."""
    messages = {"en": "Sorry.", "es": "Lo siento."}
    assert (message_in("es", messages), message_in("ja", messages)) == ("Lo siento.", "Sorry.")
