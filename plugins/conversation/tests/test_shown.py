"""The conversation tutor's corrections on the learner's page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_host.testing import LessonScript, Says, play_lesson
from loqua_tutor_conversation.plain import find_phrase, plain


def test_a_mistake_is_shown_at_its_words() -> None:
    """In the words of the learner, not in those that phrases are compared in."""
    steps = (Says("¡Hola! Yo es Ana, de Málaga."),)
    shown = play_lesson(LessonScript(tutor="conversation", steps=steps)).shown
    wrong = [(it.text[it.start : it.end], it.corrected) for it in shown if hasattr(it, "start")]
    assert wrong == [("Yo es", "yo soy")]


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        pytest.param("yo es", "¡Yo es, Ana!", "Yo es", id="among punctuation"),
        pytest.param("mas bueno", "Es más bueno.", "más bueno", id="with an accent"),
        pytest.param("yo es", "Yo eso", None, id="not in part of a word"),
        pytest.param("yo es", "", None, id="not in an empty text"),
    ],
)
def test_a_phrase_is_found_as_it_is_written(phrase: str, text: str, found: str | None) -> None:
    """Recognisers are unsure of accents and punctuation."""
    span = find_phrase(phrase, text)
    assert (span and text[slice(*span)]) == found


@given(st.text())
def test_a_span_lies_in_its_text(text: str) -> None:
    """This holds for any recognised text."""
    phrase = " ".join(text.split()[:2])
    span = find_phrase(phrase, text)
    assert span is None or plain(text[slice(*span)]) == plain(phrase)
