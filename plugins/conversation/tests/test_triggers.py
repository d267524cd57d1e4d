"""Triggers of a call to a specialist: requests, and repeated mistakes."""

import pytest

from loqua_tutor_conversation.language import load_language
from loqua_tutor_conversation.triggers import HelpRequest, find_mistakes, help_asked, help_needed


@pytest.mark.parametrize(
    ("text", "need"),
    [
        ("¿Cómo se pronuncia ciudad?", HelpRequest(speciality="pronunciation", words=("ciudad",))),
        (
            "como se pronuncia el agua",
            HelpRequest(speciality="pronunciation", words=("el", "agua")),
        ),
        ("Quiero practicar la pronunciación.", HelpRequest(speciality="pronunciation")),
        ("Quiero practicar la gramática.", HelpRequest(speciality="grammar")),
        ("Quiero un café con leche.", None),
    ],
    ids=["word", "words", "pronunciation", "grammar", "nothing"],
)
def test_a_learner_asks_in_a_sentence_of_their_own(text: str, need: HelpRequest | None) -> None:
    """Accents and case as the recogniser has them."""
    assert help_asked(load_language("es"), text) == need


def test_three_words_are_practised_at_a_time() -> None:
    """More would be a lesson."""
    asked = help_asked(load_language("en"), "How do you pronounce one two three four?")
    assert asked is not None
    assert asked.words == ("one", "two", "three")


@pytest.mark.parametrize(
    ("text", "language", "found"),
    [
        ("Yo es estudiante.", "es", [("present_tense", "yo soy")]),
        (
            "La problema es que me gusta los libros.",
            "es",
            [("gustar", "me gustan los"), ("noun_adjective_agreement", "el problema")],
        ),
        ("Yo soy estudiante.", "es", []),
        ("He don't like coffee.", "en", [("present_tense", "he doesn't")]),
        ("I like to read books.", "en", []),
    ],
    ids=["verb", "two", "right", "english", "english_right"],
)
def test_common_mistakes_have_a_topic_and_what_is_right(
    text: str, language: str, found: list[tuple[str, str]]
) -> None:
    """Topics in the API's names."""
    mistakes = find_mistakes(load_language(language), text)
    assert [(it.topic, it.right) for it in mistakes] == found


def test_a_mistake_of_a_kind_is_a_slip_and_a_second_one_a_need() -> None:
    """Once for each kind."""
    assert help_needed(("gustar", "present_tense"), ()) is None
    again = ("gustar", "present_tense", "gustar")
    assert help_needed(again, ()) == HelpRequest(speciality="grammar", focus="gustar")
    assert help_needed(again, ("gustar",)) is None
