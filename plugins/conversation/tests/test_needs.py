"""When a specialist helps: what a learner asks for, and which mistakes come again."""

import pytest

from loqua_host import LearnerContext
from loqua_tutor_conversation.needs import (
    Need,
    Needs,
    load_needs,
    mistakes_in,
    need_asked,
    need_shown,
)
from loqua_tutor_conversation.scenario import choose, scenarios
from loqua_tutor_conversation.talk import Notes, hear

CAFE = choose("es", "cafe", LearnerContext())


def needs(language: str = "es") -> Needs:
    """Return what shows needs in a language."""
    found = load_needs(language)
    assert found is not None
    return found


@pytest.mark.parametrize("language", sorted({scenario.language for scenario in scenarios()}))
def test_needs_are_known_in_every_language_that_is_talked(language: str) -> None:
    """A scenario without them would never call anybody."""
    assert needs(language).asks.keys() == {"grammar", "pronunciation"}


def test_a_language_without_needs_calls_nobody() -> None:
    """It is talked on."""
    assert load_needs("tlh") is None


@pytest.mark.parametrize(
    ("text", "need"),
    [
        ("¿Cómo se pronuncia ciudad?", Need(speciality="pronunciation", words=("ciudad",))),
        ("como se pronuncia el agua", Need(speciality="pronunciation", words=("el", "agua"))),
        ("Quiero practicar la pronunciación.", Need(speciality="pronunciation")),
        ("Quiero practicar la gramática.", Need(speciality="grammar")),
        ("Quiero un café con leche.", None),
    ],
)
def test_a_learner_asks_in_a_sentence_of_their_own(text: str, need: Need | None) -> None:
    """Accents and case as the recogniser has them."""
    assert need_asked(needs(), text) == need


def test_three_words_are_practised_at_a_time() -> None:
    """More would be a lesson."""
    asked = need_asked(needs("en"), "How do you pronounce one two three four?")
    assert asked is not None
    assert asked.words == ("one", "two", "three")


@pytest.mark.parametrize(
    ("text", "language", "topics"),
    [
        ("Yo es estudiante.", "es", ("present_tense",)),
        ("La problema es que me gusta los libros.", "es", ("gustar", "noun_adjective_agreement")),
        ("Yo soy estudiante.", "es", ()),
        ("He don't like coffee.", "en", ("present_tense",)),
        ("I like to read books.", "en", ()),
    ],
)
def test_common_mistakes_have_topics(text: str, language: str, topics: tuple[str, ...]) -> None:
    """In the API's names."""
    assert mistakes_in(needs(language), text) == topics


def test_a_mistake_of_a_kind_is_a_slip_and_a_second_one_a_need() -> None:
    """Once for each kind."""
    assert need_shown(("gustar", "present_tense"), ()) is None
    again = ("gustar", "present_tense", "gustar")
    assert need_shown(again, ()) == Need(speciality="grammar", focus="gustar")
    assert need_shown(again, ("gustar",)) is None


def test_asking_for_help_is_no_answer() -> None:
    """The question comes again afterwards."""
    notes = hear(Notes(scenario="cafe"), CAFE, "¿Cómo se pronuncia ciudad?")
    assert (notes.answered, notes.hinted, notes.phrases) == (0, False, 1)


def test_mistakes_are_noted_with_the_answer() -> None:
    """They do not hold up the talk."""
    notes = hear(Notes(scenario="cafe"), CAFE, "Yo es Ana.")
    assert (notes.answered, notes.mistakes) == (1, ("present_tense",))
