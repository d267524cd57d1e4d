"""Words of scenarios in what learners say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loqua_tutor_conversation.vocabulary import find_words, load_glossary, translate


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("Quiero dos mesas y tres cafés.", "es", ("mesa", "café")),
        ("Necesito habitaciones tranquilas", "es", ("habitación", "tranquilo")),
        ("UN CAFE", "es", ("café",)),
        ("Te gusta el pan", "es", ("pan",)),
        ("Me gusta la panadería y el mesero.", "es", ()),
        ("Cuento mis historias", "es", ()),
        ("Es caro, sin embargo lo compro.", "es", ("sin embargo",)),
        ("She slept and her children read books.", "en", ("sleep", "book")),
        ("When do you get up?", "en", ("get up",)),
        ("Deux nuits, et l'addition.", "fr", ("nuit", "addition")),
    ],
    ids=[
        "plurals",
        "adjective",
        "no_accents",
        "other_word_without_accent",
        "part_of_a_word",
        "verb_form_of_a_noun",
        "phrase",
        "irregular",
        "phrasal_verb",
        "elision",
    ],
)
def test_a_word_counts_in_any_form_and_only_as_itself(
    text: str, language: str, words: tuple[str, ...]
) -> None:
    """By its lemma; a recogniser's missing accents cost the learner nothing."""
    assert find_words(text, language) == words


def test_a_word_is_translated_into_the_native_language_or_else_another() -> None:
    """A report needs a translation."""
    assert translate("mesa", "es", "de") == "Tisch"
    assert translate("mesa", "es", "tlh") == "table"


def test_a_word_has_the_topics_of_all_turns_that_ask_for_it() -> None:
    """It is known if any of them came up before."""
    assert load_glossary("en")["sister"].topics == {"family"}
    assert {"health"} <= load_glossary("es")["tos"].topics


@given(st.text(max_size=80))
def test_any_text_has_words_of_the_glossary_only(text: str) -> None:
    """This holds for any recognised text."""
    assert set(find_words(text, "es")) <= load_glossary("es").keys()
